// A volume that claims of both namespaces share, as a file share does on a real cluster: one directory of the only node.
import { MANAGED, SYSTEM, kubectl } from './cluster.ts';

/** The second volume, which is not deleted with the namespaces. */
const volume = () => `${SYSTEM}-images`;

interface Volume {
  spec: { claimRef?: object; local?: object; hostPath?: object; nodeAffinity?: object; capacity: object };
}

function claim(namespace: string, metadata: object, spec: object): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'images', namespace, ...metadata },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
  });
}

/** Creates the claims. */
export function shareClaim(): void {
  const node = kubectl(['get', 'nodes', '-o', 'jsonpath={.items[0].metadata.name}']);
  // The annotation stands for a pod on the node that uses the claim.
  kubectl(['apply', '-f', '-'], claim(MANAGED, { annotations: { 'volume.kubernetes.io/selected-node': node } }, {}));
  kubectl(['wait', '-n', MANAGED, 'pvc/images', '--for=jsonpath={.status.phase}=Bound', '--timeout=60s']);
  const name = kubectl(['get', '-n', MANAGED, 'pvc/images', '-o', 'jsonpath={.spec.volumeName}']);
  const { local, hostPath, nodeAffinity, capacity } = (JSON.parse(kubectl(['get', 'pv', name, '-o', 'json'])) as Volume).spec;
  const same = { local, hostPath, nodeAffinity, capacity, accessModes: ['ReadWriteOnce'], storageClassName: '' };
  const spec = { ...same, persistentVolumeReclaimPolicy: 'Retain', claimRef: { namespace: SYSTEM, name: 'images' } };
  kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: volume() }, spec }));
  kubectl(['apply', '-f', '-'], claim(SYSTEM, {}, { storageClassName: '', volumeName: volume() }));
}

/** Deletes the second volume. */
export function unshareClaim(): void {
  kubectl(['delete', 'pv', volume(), '--ignore-not-found', '--wait=false']);
}
