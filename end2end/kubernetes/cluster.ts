// A Toygres of the tests' own in a cluster, as its users put it there: `kubectl apply -k`. It knows no page.
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ADMIN } from '../toygres.ts';
import { shareClaim, unshareClaim } from './claim.ts';

/** Another Toygres may be in the cluster: with a suffix, this one has namespaces of its own. */
const SUFFIX = process.env.TOYGRES_TEST_SUFFIX ?? '';
export const SYSTEM = `toygres-system${SUFFIX}`;
export const MANAGED = `toygres-managed${SUFFIX}`;
/** Where somebody else's Secrets are. */
export const ELSEWHERE = `toygres-elsewhere${SUFFIX}`;

export function kubectl(args: string[], input?: string, encoding: 'utf8' | 'latin1' = 'utf8'): string {
  const done = spawnSync('kubectl', args, { encoding, input, maxBuffer: 1 << 30 });
  if (done.status !== 0) throw new Error(`kubectl ${args.join(' ')}: ${done.stderr}`);
  return done.stdout;
}

/** What these stories look at in an object. */
export interface Thing {
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  status?: { phase?: string; conditions?: { type: string; status: string }[] };
}

/** Every object in the namespaces of Toygres, of whatever kind, but events and the server's own pods, as `namespace kind/name`. */
export function everything(): string[] {
  const kinds = kubectl(['api-resources', '--namespaced', '--verbs=list', '-o', 'name']).trim().split('\n');
  const lasting = kinds.filter((kind) => !kind.startsWith('events')).join(',');
  const names = (namespace: string) => kubectl(['get', '-n', namespace, lasting, '-o', 'name']).trim().split('\n').map((name) => `${namespace} ${name}`);
  return [SYSTEM, MANAGED].flatMap(names).filter((one) => !one.startsWith(`${SYSTEM} pod/`)).sort();
}

/** All objects of these kinds in a namespace. */
export function objects(namespace: string, kinds: string): Thing[] {
  return JSON.parse(kubectl(['get', '-n', namespace, kinds, '-o', 'json'])).items;
}

export class Cluster {
  private constructor(
    private readonly dir: string,
    readonly url: string,
  ) {}

  /** Puts Toygres into the cluster, which has none, and waits until it serves. `settings` are lines of settings.env; with a
   *  claim, the volume `images` is a store. */
  static async start(settings: string[] = [], withClaim = false): Promise<Cluster> {
    Cluster.clear();
    const dir = mkdtempSync(join(tmpdir(), 'toygres-deploy-'));
    cpSync(join(import.meta.dirname, '../../deploy'), join(dir, 'deploy'), { recursive: true });
    if (SUFFIX) rename(join(dir, 'deploy'));
    const overlay = join(dir, 'deploy/overlays/kind');
    rmSync(join(overlay, 'secrets.env'), { force: true });
    const parts = withClaim ? ['identity', 'claim'] : ['identity'];
    // No webhook gives the server its identity here.
    const kustomization = join(overlay, 'kustomization.yaml');
    const components = readFileSync(kustomization, 'utf8').replace(/^components:$/m, `components:\n${parts.map((part) => `  - ../../components/${part}`).join('\n')}`);
    writeFileSync(kustomization, components);
    const made = spawnSync(join(dir, 'deploy/make-secrets'), {
      env: { ...process.env, DATABASE_URL: '', TOYGRES_ADMIN_USERNAME: ADMIN.username, TOYGRES_ADMIN_PASSWORD: ADMIN.password },
      encoding: 'utf8',
    });
    if (made.status !== 0) throw new Error(made.stderr);
    // The address that people type is the Service's own here, so the Service is made first.
    const rendered = kubectl(['kustomize', overlay]).split(/^---$/m);
    const first = rendered.filter((text) => /^kind: Namespace$/m.test(text) || (/^kind: Service$/m.test(text) && /^  name: toygres$/m.test(text)));
    kubectl(['apply', '-f', '-'], first.join('\n---\n'));
    const ip = kubectl(['get', '-n', SYSTEM, 'service', 'toygres', '-o', 'jsonpath={.spec.clusterIP}']);
    const url = `http://${ip}`;
    const image = process.env.TOYGRES_TEST_IMAGE!;
    const file = join(overlay, 'settings.env');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^TOYGRES_IMAGE=.*$/m, `TOYGRES_IMAGE=${image}`));
    const places = [`TOYGRES_NAMESPACE=${MANAGED}`, `TOYGRES_SYSTEM_NAMESPACE=${SYSTEM}`];
    const images = ['TOYGRES_POSTGRES_IMAGES=15=docker.io/library/postgres:15'];
    appendFileSync(file, [`TOYGRES_PUBLIC_URL=${url}`, ...images, ...(SUFFIX ? places : []), ...settings, ''].join('\n'));
    if (withClaim) shareClaim();
    kubectl(['apply', '-k', overlay]);
    const cluster = new Cluster(dir, url);
    cluster.settled();
    return cluster;
  }

  /** Waits until every part of Toygres is up. */
  settled(): void {
    kubectl(['rollout', 'status', '-n', SYSTEM, 'statefulset/toygres-cms', '--timeout=180s']);
    for (const name of ['toygres-api', 'toygres-worker']) {
      kubectl(['rollout', 'status', '-n', SYSTEM, `deployment/${name}`, '--timeout=180s']);
    }
  }

  /** Takes the namespaces away, with everything in them. */
  static clear(): void {
    kubectl(['delete', 'namespace', SYSTEM, MANAGED, ELSEWHERE, '--ignore-not-found', '--wait', '--timeout=180s']);
    unshareClaim();
  }

  remove(): void {
    Cluster.clear();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** What all servers wrote. */
  log(): string {
    return kubectl(['logs', '-n', SYSTEM, '-l', 'app.kubernetes.io/component=server', '--tail=-1', '--prefix', '--ignore-errors']);
  }

  /** The whole CMS as text. */
  cms(): string {
    return kubectl(['exec', '-n', SYSTEM, 'toygres-cms-0', '--', 'pg_dump', '-U', 'toygres', 'toygres']);
  }

  /** What the CMS answers to a query, a line for each row. */
  query(sql: string): string[] {
    const psql = ['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-U', 'toygres', '-d', 'toygres', '-c', sql];
    const text = kubectl(['exec', '-n', SYSTEM, 'toygres-cms-0', '--', ...psql]);
    return text.split('\n').filter((line) => line !== '');
  }

  /** Where an instance listens, as seen from this machine. */
  address(instance: string): string {
    return kubectl(['get', '-n', MANAGED, 'service', instance, '-o', 'jsonpath={.spec.clusterIP}']);
  }
}

/** Other namespaces in all files. */
function rename(dir: string): void {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (statSync(path).isDirectory()) rename(path);
    else writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/toygres-(system|managed)/g, `toygres-$1${SUFFIX}`));
  }
}

/** The process id of a part of the tests' own cluster, where this is one whose parts can be frozen; none elsewhere. */
export function part(name: 'apiserver' | 'kubelet' | 'dns'): number | undefined {
  try {
    return Number(readFileSync(join(dirname(process.env.KUBECONFIG!), `${name}.pid`), 'utf8').trim());
  } catch {
    return undefined;
  }
}

/** Stops a part until something else is over. It goes on in the end, whatever becomes of this process. */
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

/** So many seconds. */
export function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1000));
}
