// The main scenario on a cluster: create an instance, load data, back up with a live log, restore, compare; in Azure by
// workload identity and in S3. At the end no object is left, the password was only in its Secrets, and the server used every
// permission of its role and no other.
import { spawnSync } from 'node:child_process';
import type { Page } from '@playwright/test';
import { Cluster, ELSEWHERE, MANAGED, SYSTEM, everything, kubectl, objects } from './cluster.ts';
import { AZURE_KEY } from './emulators.ts';
import { expect, stories } from './fixtures.ts';
import { callsIn, refusedIn, rights } from './rights.ts';
import { NASTY, PASSWORD, addStore, backUp, createInstance, deleteInstance, dump, ended, isGapless, logIn, openNewestImage, psql, startRestore, sudo } from './pages.ts';

/** Another extension with a background worker replaces pg_durable, which is not available here. */
const DURABLE = ['TOYGRES_PG_DURABLE_IMAGES=15=docker.io/library/postgres:15', 'TOYGRES_PG_DURABLE_PRELOAD=pg_cron'];

/** The objects of the cluster before the first test. */
let atFirst: string[] = [];

const test = stories(async () => {
  const cluster = await Cluster.start(['RUST_LOG=info,kube_client=debug', 'TOYGRES_JOB_TTL=60', `TOYGRES_SECRET_NAMESPACES=${ELSEWHERE}`, ...DURABLE], true);
  atFirst = everything();
  return cluster;
});

/** The API calls and the refused ones, collected before the pods with the logs are deleted. */
const calls = new Set<string>();
const refused: string[] = [];
test.afterEach(({ cluster }) => {
  const log = cluster.log();
  callsIn(log).forEach((call) => calls.add(call));
  refused.push(...refusedIn(log));
});

/** Backs an instance up, restores it under another name and compares both. */
async function roundTrip(page: Page, cluster: Cluster, source: string, target: string, server = source): Promise<void> {
  await backUp(page, cluster, source);
  await expect(page.getByRole('log')).toContainText('Copy data: started');
  // The agent's lines arrive while it works.
  await expect(page.getByRole('log')).toContainText('copied with pg_dump');
  await ended(page, 'succeeded');
  await expect(page.locator('.log .end')).toContainText('complete');
  await isGapless(page, page.url());
  await openNewestImage(page, cluster);
  await startRestore(page, target);
  await ended(page, 'succeeded');
  await expect(page.getByRole('heading', { name: 'Matches the image' })).toBeVisible();
  await isGapless(page, page.url());
  expect(dump(target)).toEqual(dump(server));
}

/** A Secret that Toygres may read, allowed as docs/OPERATIONS.md says. */
function allowToRead(name: string, stringData: Record<string, string>): void {
  const rbac = 'rbac.authorization.k8s.io';
  const metadata = { name, namespace: ELSEWHERE };
  const rules = [{ apiGroups: [''], resources: ['secrets'], resourceNames: [name], verbs: ['get'] }];
  const subjects = [{ kind: 'ServiceAccount', name: 'toygres-server', namespace: SYSTEM }];
  const items = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: ELSEWHERE } },
    { apiVersion: 'v1', kind: 'Secret', metadata: { ...metadata, labels: { 'toygres.io/readable': 'true' } }, stringData },
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules },
    { apiVersion: `${rbac}/v1`, kind: 'RoleBinding', metadata, roleRef: { apiGroup: rbac, kind: 'Role', name }, subjects },
  ];
  kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
}

test('the servers log in to the state database as its owner, which has no other right', ({ cluster }) => {
  const sessions = 'select distinct usename from pg_stat_activity where datname = current_database()';
  expect(cluster.query(sessions)).toEqual(['toygres']);
  const rights = 'rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls';
  expect(cluster.query(`select rolname from pg_roles where rolname = 'toygres' and (${rights})`)).toEqual([]);
  const roles = 'select oid from pg_roles where rolname = \'toygres\'';
  expect(cluster.query(`select roleid::regrole from pg_auth_members where member in (${roles})`)).toEqual([]);
});

test('backup and restore in Azure by workload identity', async ({ page, cluster, stores }) => {
  await logIn(page, cluster);
  await addStore(page, cluster, 'blob', 'az://devstoreaccount1/images/toygres', {
    client_id: 'toygres',
    tenant_id: 'tenant',
    authority_host: stores.azure.authority,
    endpoint: stores.azure.endpoint,
    root_certificate: stores.root,
  }, 'azure_identity');
  await createInstance(page, cluster, 'orders');
  await ended(page, 'succeeded');
  psql(cluster, 'orders', ['-f', NASTY]);
  await roundTrip(page, cluster, 'orders', 'orders-restored');
  expect(await stores.keys('azure', 'toygres/images/')).not.toHaveLength(0);
  // The server and the jobs authenticated with the cluster's tokens.
  expect(stores.said).toContain(`"code":"ok","subject":"system:serviceaccount:${SYSTEM}:toygres-server"`);
  expect(stores.said).toContain(`"code":"ok","subject":"system:serviceaccount:${MANAGED}:toygres-job"`);
});

test('backup and restore in S3 by web identity', async ({ page, cluster, stores }) => {
  await logIn(page, cluster);
  await addStore(page, cluster, 's3', 's3://images/toygres', {
    role_arn: 'arn:aws:iam::123456789012:role/toygres',
    sts_endpoint: stores.s3.sts,
    endpoint: stores.s3.endpoint,
    region: 'eu-central-1',
    root_certificate: stores.root,
  }, 'aws_identity');
  await roundTrip(page, cluster, 'orders', 'orders-from-s3');
  expect(await stores.keys('s3', 'toygres/images/')).not.toHaveLength(0);
});

test('backup and restore in a claim; a directory is refused', async ({ page, cluster }) => {
  await logIn(page, cluster);
  await sudo(page, cluster);
  await page.goto(`${cluster.url}/settings?at=stores`);
  await page.locator('#new-store [name="name"]').fill('directory');
  await page.locator('#new-store [name="url"]').fill('file:///tmp/images');
  await page.getByRole('button', { name: 'Add store' }).click();
  await expect(page.locator('#new-store')).toContainText('pvc://');
  await addStore(page, cluster, 'claim', 'pvc://images/toygres', {}, 'environment');
  await roundTrip(page, cluster, 'orders', 'orders-from-claim');
  await deleteInstance(page, cluster, 'orders-from-claim');
});

test('an existing server with its password in a Secret, into Azure with a key in a Secret', async ({ page, cluster, stores }) => {
  allowToRead('orders-password', { password: PASSWORD });
  allowToRead('blob-key', { account_key: AZURE_KEY });
  await logIn(page, cluster);
  const access = { secret_namespace: ELSEWHERE, secret_name: 'blob-key', endpoint: stores.azure.endpoint, root_certificate: stores.root };
  await addStore(page, cluster, 'by-key', 'az://devstoreaccount1/images/by-key', access, 'secret');
  await sudo(page, cluster);
  await page.goto(`${cluster.url}/instances/add`);
  await page.locator('[name="name"]').fill('existing');
  await page.locator('[name="host"]').fill(`orders.${MANAGED}.svc`);
  await page.locator('[name="username"]').fill('postgres');
  await page.locator('[name="secret_ref"]').fill(`${ELSEWHERE}/orders-password/password`);
  await page.getByRole('button', { name: 'Connect server' }).click();
  await page.waitForURL(`${cluster.url}/instances/existing`, { timeout: 60_000 });
  await expect(page.getByText(`${ELSEWHERE}/orders-password/password`).first()).toBeVisible();
  await roundTrip(page, cluster, 'existing', 'existing-restored', 'orders');
  expect(await stores.keys('azure', 'by-key/images/')).not.toHaveLength(0);
  await deleteInstance(page, cluster, 'existing-restored');
});

test('an instance of type pg_durable runs when its worker was seen, also after a restore', async ({ page, cluster }) => {
  await logIn(page, cluster);
  await createInstance(page, cluster, 'durable', 'pg_durable');
  await ended(page, 'succeeded');
  await backUp(page, cluster, 'durable');
  await ended(page, 'succeeded');
  await openNewestImage(page, cluster);
  await startRestore(page, 'durable-restored');
  await ended(page, 'succeeded');
  for (const name of ['durable', 'durable-restored']) {
    await page.goto(`${cluster.url}/instances/${name}`);
    await expect(page.locator('#about')).toContainText('pg_durable');
    await expect(page.locator('#workers')).toContainText('pg_cron launcher');
  }
});

test('a log of 200,000 lines is complete although its worker is killed repeatedly', async ({ page, cluster }) => {
  const LINES = 200_000;
  await logIn(page, cluster);
  const started = await page.request.post(`${cluster.url}/api/platform/test`, { data: { lines: LINES }, headers: { origin: cluster.url } });
  expect(started.status(), await started.text()).toBe(202);
  const run = `${cluster.url}/runs/${(await started.json()).run_id}`;
  const state = async () => (await (await page.request.get(run.replace('/runs/', '/api/runs/'))).json()).state as string;
  const workers = () => objects(SYSTEM, 'pods').map((pod) => pod.metadata.name).filter((name) => name.startsWith('toygres-worker'));
  await expect.poll(() => objects(MANAGED, 'pods').some((pod) => pod.metadata.name.includes('runtestjob')), { timeout: 60_000 }).toBe(true);
  let kills = 0;
  for (; kills < 10 && (await state()) === 'running'; kills++) {
    const victim = workers()[kills % 2];
    if (victim) kubectl(['delete', 'pod', '-n', SYSTEM, victim, '--force', '--grace-period=0', '--wait=false']);
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
  expect(kills).toBeGreaterThan(0);
  await expect.poll(state, { timeout: 300_000 }).toBe('succeeded');
  // The pod is no longer needed.
  kubectl(['delete', 'pods', '-n', MANAGED, '-l', 'toygres.io/job', '--wait=false']);
  expect(await isGapless(page, run)).toBeGreaterThan(LINES);
  await page.goto(run);
  await expect(page.locator('.log .end')).toContainText('ended');
  await expect(page.locator('.log .end')).toContainText(/of 200,0\d\d/);
  cluster.settled();
  for (const worker of workers()) {
    const status = kubectl(['exec', '-n', SYSTEM, worker, '--', 'cat', '/proc/1/status']);
    expect(Number(/VmHWM:\s+(\d+) kB/.exec(status)![1])).toBeLessThan(400 * 1024);
  }
});

test('a run with a million log lines can be cancelled, and a dismantled instance started', async ({ page, cluster }) => {
  await logIn(page, cluster);
  const started = await page.request.post(`${cluster.url}/api/platform/test`, { data: { lines: 1_000_000 }, headers: { origin: cluster.url } });
  await page.goto(`${cluster.url}/runs/${(await started.json()).run_id}`);
  // The page stays responsive while lines arrive, and shows its position.
  await expect(page.locator('.log .end')).toContainText(/lines \d{2,3},\d{3} to /, { timeout: 120_000 });
  await page.getByRole('link', { name: 'Cancel run…' }).click();
  await page.getByRole('button', { name: 'Cancel run' }).click();
  await ended(page, 'cancelled');
  expect(objects(MANAGED, 'pods').filter((pod) => pod.metadata.name.includes('runtestjob') && pod.status?.phase === 'Running')).toEqual([]);

  await page.goto(`${cluster.url}/instances/orders`);
  await page.getByRole('link', { name: 'Stop instance…' }).click();
  await page.getByRole('button', { name: 'Stop instance' }).click();
  await page.waitForURL(/\/runs\//);
  await ended(page, 'succeeded');
  expect(objects(MANAGED, 'pods').filter((pod) => pod.metadata.name === 'orders-0')).toEqual([]);
  // A start recreates all deleted parts but the volume.
  kubectl(['delete', '-n', MANAGED, 'statefulset/orders', 'secret/orders', 'configmap/orders', 'service/orders']);
  await page.goto(`${cluster.url}/instances/orders`);
  await page.getByRole('button', { name: 'Start instance' }).click();
  await page.waitForURL(/\/runs\//);
  await ended(page, 'succeeded');
  expect(psql(cluster, 'orders', ['-Atc', 'select 1'])).toBe('1\n');
});

test('changes made outside of Toygres are detected, and repaired where possible', async ({ page, cluster }) => {
  await logIn(page, cluster);
  kubectl(['scale', '-n', MANAGED, 'statefulset/orders', '--replicas=0']);
  kubectl(['delete', '-n', MANAGED, 'pvc/durable', '--wait=false']);
  await page.goto(`${cluster.url}/instances/orders`);
  await expect(page.getByRole('alert')).toContainText('scaled to 0', { timeout: 30_000 });
  await page.getByRole('button', { name: 'Start instance' }).click();
  await page.waitForURL(/\/runs\//);
  await ended(page, 'succeeded');
  expect(psql(cluster, 'orders', ['-Atc', 'select 1'])).toBe('1\n');

  // The data exist as long as the pod.
  await page.goto(cluster.url);
  await expect(page.locator('.need')).toContainText('durable is at risk of data loss');
  await page.getByRole('link', { name: 'View instance: durable is at risk of data loss' }).click();
  await expect(page.getByRole('alert')).toContainText('The claim of the instance\'s volume was deleted.');
  await page.getByRole('link', { name: 'Stop instance…' }).click();
  await page.getByRole('button', { name: 'Stop instance' }).click();
  await page.waitForURL(/\/runs\//);
  await ended(page, 'failed');
  await expect(page.locator('.alert')).toContainText('Back up the instance now');
  expect(psql(cluster, 'durable', ['-Atc', 'select 1'])).toBe('1\n');
});

test('a password is stored only in its Secrets', async ({ page, cluster }) => {
  await logIn(page, cluster);
  const encoded = [PASSWORD, JSON.stringify(PASSWORD).slice(1, -1), encodeURIComponent(PASSWORD), 'sesame'];
  const nowhere = (what: string, text: string) => {
    for (const form of encoded) expect(text.includes(form), `${what} holds the password`).toBe(false);
  };
  // Include the Job and the pods of a running backup.
  await backUp(page, cluster, 'orders');
  const run = page.url();
  const kinds = kubectl(['api-resources', '--namespaced', '--verbs=list', '-o', 'name']).trim().split('\n').filter((kind) => kind !== 'secrets');
  for (let look = 0; look < 5; look++) {
    nowhere('an argument of a process', spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).stdout);
    for (const namespace of [SYSTEM, MANAGED]) nowhere('an object', kubectl(['get', '-n', namespace, kinds.join(','), '-o', 'yaml']));
  }
  await ended(page, 'succeeded');
  for (const path of ['', 'instances', 'instances/orders', 'images', 'runs', 'settings', run.slice(cluster.url.length + 1)]) {
    nowhere(`the page /${path}`, await (await page.request.get(`${cluster.url}/${path}`)).text());
  }
  nowhere('a log', cluster.log());
  nowhere('the state database', cluster.cms());
  // A job has a Secret until it ends: the health checks connect to each instance every few minutes. Those of killed workers are
  // swept.
  await expect.poll(() => objects(MANAGED, 'secrets').map((secret) => secret.metadata.name).sort(), { timeout: 240_000 })
    .toEqual(['durable', 'durable-restored', 'orders', 'orders-from-s3', 'orders-restored']);
});

test('deleting everything leaves no objects', async ({ page, cluster, stores }) => {
  await logIn(page, cluster);
  const origin = { origin: cluster.url };
  for (const path of ['images', 'instances']) {
    await sudo(page, cluster);
    const listed = await (await page.request.get(`${cluster.url}/api/${path}`)).json();
    for (const one of listed.items ?? listed) {
      const id = path === 'images' ? one.id : one.name;
      const answer = await page.request.delete(`${cluster.url}/api/${path}/${id}?confirm=${one.name}`, { headers: origin });
      expect(answer.status(), await answer.text()).toBe(202);
    }
    await expect.poll(async () => {
      const left = await (await page.request.get(`${cluster.url}/api/${path}`)).json();
      return (left.items ?? left).length;
    }, { timeout: 180_000 }).toBe(0);
  }
  // Ended Jobs are kept for a minute for kubectl logs.
  await expect.poll(() => everything().filter((one) => !atFirst.includes(one)), { timeout: 120_000 }).toEqual([]);
  expect(atFirst.filter((one) => !everything().includes(one))).toEqual([]);
  expect(await stores.keys('azure', '')).toEqual([]);
  expect(await stores.keys('s3', '')).toEqual([]);
});

test('the server uses every permission of its role and no other', () => {
  expect(refused).toEqual([]);
  // The Secrets that an administrator named are additional.
  expect([...calls].sort()).toEqual([...rights(), `get secrets in ${ELSEWHERE}`].sort());
});
