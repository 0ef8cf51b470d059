// A Toygres that the tests deploy to a cluster as users do: `kubectl apply -k`.
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ADMIN } from '../toygres.ts';
import { shareClaim, unshareClaim } from './claim.ts';

/** A suffix for the namespaces, so that another Toygres may be on the cluster. */
const SUFFIX = process.env.TOYGRES_TEST_SUFFIX ?? '';
export const SYSTEM = `toygres-system${SUFFIX}`;
export const MANAGED = `toygres-managed${SUFFIX}`;
/** A namespace with Secrets that are not Toygres'. */
export const ELSEWHERE = `toygres-elsewhere${SUFFIX}`;

export function kubectl(args: string[], input?: string, encoding: 'utf8' | 'latin1' = 'utf8'): string {
  const result = spawnSync('kubectl', args, { encoding, input, maxBuffer: 1 << 30 });
  if (result.status !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

/** The fields of an object that the stories read. */
export interface KubernetesObject {
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  status?: { phase?: string; conditions?: { type: string; status: string }[] };
}

/** Every object in Toygres' namespaces, of every kind, except events and the server's pods, as `namespace kind/name`. */
export function everything(): string[] {
  const kinds = kubectl(['api-resources', '--namespaced', '--verbs=list', '-o', 'name']).trim().split('\n');
  const listed = kinds.filter((kind) => !kind.startsWith('events')).join(',');
  const names = (namespace: string) => kubectl(['get', '-n', namespace, listed, '-o', 'name']).trim().split('\n').map((name) => `${namespace} ${name}`);
  return [SYSTEM, MANAGED].flatMap(names).filter((name) => !name.startsWith(`${SYSTEM} pod/`)).sort();
}

/** All objects of these kinds in a namespace. */
export function objects(namespace: string, kinds: string): KubernetesObject[] {
  return JSON.parse(kubectl(['get', '-n', namespace, kinds, '-o', 'json'])).items;
}

export class Cluster {
  private constructor(
    private readonly dir: string,
    readonly url: string,
  ) {}

  /** Deploys Toygres and waits until it is ready. `settings` are lines of settings.env; with a claim, the volume `images` is a
   *  store. */
  static async start(settings: string[] = [], withClaim = false): Promise<Cluster> {
    Cluster.clear();
    const dir = mkdtempSync(join(tmpdir(), 'toygres-deploy-'));
    cpSync(join(import.meta.dirname, '../../deploy'), join(dir, 'deploy'), { recursive: true });
    if (SUFFIX) rename(join(dir, 'deploy'));
    const overlay = join(dir, 'deploy/overlays/kind');
    rmSync(join(overlay, 'secrets.env'), { force: true });
    const parts = withClaim ? ['identity', 'claim'] : ['identity'];
    // The test cluster has no webhook that gives the server its identity.
    const kustomization = join(overlay, 'kustomization.yaml');
    const components = readFileSync(kustomization, 'utf8').replace(/^components:$/m, `components:\n${parts.map((part) => `  - ../../components/${part}`).join('\n')}`);
    writeFileSync(kustomization, components);
    const secrets = spawnSync(join(dir, 'deploy/make-secrets'), {
      env: { ...process.env, DATABASE_URL: '', TOYGRES_ADMIN_USERNAME: ADMIN.username, TOYGRES_ADMIN_PASSWORD: ADMIN.password },
      encoding: 'utf8',
    });
    if (secrets.status !== 0) throw new Error(secrets.stderr);
    // The public URL is the address of the Service, so the Service is created first.
    const rendered = kubectl(['kustomize', overlay]).split(/^---$/m);
    const first = rendered.filter((text) => /^kind: Namespace$/m.test(text) || (/^kind: Service$/m.test(text) && /^  name: toygres$/m.test(text)));
    kubectl(['apply', '-f', '-'], first.join('\n---\n'));
    const ip = kubectl(['get', '-n', SYSTEM, 'service', 'toygres', '-o', 'jsonpath={.spec.clusterIP}']);
    const url = `http://${ip}`;
    const image = process.env.TOYGRES_TEST_IMAGE!;
    const file = join(overlay, 'settings.env');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^TOYGRES_IMAGE=.*$/m, `TOYGRES_IMAGE=${image}`));
    const namespaces = [`TOYGRES_NAMESPACE=${MANAGED}`, `TOYGRES_SYSTEM_NAMESPACE=${SYSTEM}`];
    const images = ['TOYGRES_POSTGRES_IMAGES=15=docker.io/library/postgres:15'];
    appendFileSync(file, [`TOYGRES_PUBLIC_URL=${url}`, ...images, ...(SUFFIX ? namespaces : []), ...settings, ''].join('\n'));
    if (withClaim) shareClaim();
    kubectl(['apply', '-k', overlay]);
    const cluster = new Cluster(dir, url);
    cluster.settled();
    return cluster;
  }

  /** Waits until every workload of Toygres is ready. */
  settled(): void {
    kubectl(['rollout', 'status', '-n', SYSTEM, 'statefulset/toygres-cms', '--timeout=180s']);
    for (const name of ['toygres-api', 'toygres-worker']) {
      kubectl(['rollout', 'status', '-n', SYSTEM, `deployment/${name}`, '--timeout=180s']);
    }
  }

  /** Deletes the namespaces with all their objects. */
  static clear(): void {
    kubectl(['delete', 'namespace', SYSTEM, MANAGED, ELSEWHERE, '--ignore-not-found', '--wait', '--timeout=180s']);
    unshareClaim();
  }

  remove(): void {
    Cluster.clear();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** The log of all servers. */
  log(): string {
    return kubectl(['logs', '-n', SYSTEM, '-l', 'app.kubernetes.io/component=server', '--tail=-1', '--prefix', '--ignore-errors']);
  }

  /** A dump of the state database. */
  cms(): string {
    return kubectl(['exec', '-n', SYSTEM, 'toygres-cms-0', '--', 'pg_dump', '-U', 'toygres', 'toygres']);
  }

  /** The result of a query in the state database, a line for each row. */
  query(sql: string): string[] {
    const psql = ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-U', 'toygres', '-d', 'toygres', '-c', sql];
    const text = kubectl(['exec', '-n', SYSTEM, 'toygres-cms-0', '--', ...psql]);
    return text.split('\n').filter((line) => line !== '');
  }

  /** The address of an instance's Service. */
  address(instance: string): string {
    return kubectl(['get', '-n', MANAGED, 'service', instance, '-o', 'jsonpath={.spec.clusterIP}']);
  }
}

/** Adds the suffix to the namespaces in all files of a directory. */
function rename(dir: string): void {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (statSync(path).isDirectory()) rename(path);
    else writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/toygres-(system|managed)/g, `toygres-$1${SUFFIX}`));
  }
}

/** The process id of a part of the cluster, if it is one whose parts can be frozen. */
export function part(name: 'apiserver' | 'kubelet' | 'dns'): number | undefined {
  try {
    return Number(readFileSync(join(dirname(process.env.KUBECONFIG!), `${name}.pid`), 'utf8').trim());
  } catch {
    return undefined;
  }
}

/** Freezes a part of the cluster until `meanwhile` ends. A second process ends the freeze if this one dies. */
export async function frozen(name: 'apiserver' | 'kubelet' | 'dns', meanwhile: () => Promise<unknown>): Promise<void> {
  const pid = part(name)!;
  const guard = spawn('sh', ['-c', `sleep 240; kill -CONT ${pid}`], { detached: true, stdio: 'ignore' });
  process.kill(pid, 'SIGSTOP');
  try {
    await meanwhile();
  } finally {
    process.kill(pid, 'SIGCONT');
    process.kill(-guard.pid!, 'SIGKILL');
  }
}

/** Waits. */
export function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1000));
}
