// The whole story on a cluster: an instance, data in, back up with a live log, an image, a restore that is equal; in Azure
// by workload identity, and again in S3. At the end nothing is left, and one password was nowhere but in its Secrets.
import { spawnSync } from 'node:child_process';
import type { Page } from '@playwright/test';
import { expect, test as base } from '../toygres.ts';
import { Cluster, MANAGED, SYSTEM, kubectl, objects } from './cluster.ts';
import { Emulators } from './emulators.ts';
import { NASTY, PASSWORD, addStore, backUp, createInstance, dump, ended, isGapless, logIn, openNewestImage, psql, startRestore, sudo } from './pages.ts';

const test = base.extend<object, { cluster: Cluster; stores: Emulators }>({
  cluster: [
    async ({}, use) => {
      const cluster = await Cluster.start(['RUST_LOG=info,kube_client=debug', 'TOYGRES_JOB_TTL=20']);
      await use(cluster);
      cluster.remove();
    },
    { scope: 'worker', timeout: 420_000 },
  ],
  stores: [
    async ({}, use) => {
      const stores = await Emulators.start();
      await use(stores);
      stores.stop();
    },
    { scope: 'worker', timeout: 120_000 },
  ],
});

test.describe.configure({ mode: 'serial' });

/** Backs an instance up and restores it under another name; both are equal. */
async function roundTrip(page: Page, cluster: Cluster, source: string, target: string): Promise<void> {
  await backUp(page, cluster, source);
  await expect(page.getByRole('log')).toContainText('run backup job begins');
  // What the agent says arrives while it works, not at its end.
  await expect(page.getByRole('log')).toContainText('copied with pg_dump');
  await ended(page, 'succeeded');
  await expect(page.locator('.log .end')).toContainText('no gap');
  await isGapless(page, page.url());
  await openNewestImage(page, cluster);
  await startRestore(page, target);
  await ended(page, 'succeeded');
  await expect(page.getByRole('heading', { name: 'All as in the image' })).toBeVisible();
  await isGapless(page, page.url());
  expect(dump(target)).toEqual(dump(source));
}

test('in Azure by workload identity', async ({ page, cluster, stores }) => {
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
  // Both the server and jobs were who they are, by the cluster's own tokens.
  expect(stores.said).toContain(`"code":"ok","subject":"system:serviceaccount:${SYSTEM}:toygres-server"`);
  expect(stores.said).toContain(`"code":"ok","subject":"system:serviceaccount:${MANAGED}:toygres-job"`);
});

test('in S3 by web identity', async ({ page, cluster, stores }) => {
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

test('a log of 200,000 lines is whole, although its follower is killed again and again', async ({ page, cluster }) => {
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
  // Its pod may go now: everything is kept.
  kubectl(['delete', 'pods', '-n', MANAGED, '-l', 'toygres.io/job', '--wait=false']);
  expect(await isGapless(page, run)).toBeGreaterThan(LINES);
  await page.goto(run);
  await expect(page.locator('.log .end')).toContainText('whole');
  await expect(page.locator('.log .end')).toContainText(/of 200,0\d\d/);
  cluster.settled();
  for (const worker of workers()) {
    const status = kubectl(['exec', '-n', SYSTEM, worker, '--', 'cat', '/proc/1/status']);
    expect(Number(/VmHWM:\s+(\d+) kB/.exec(status)![1])).toBeLessThan(400 * 1024);
  }
});

test('a password is in its Secrets and nowhere else', async ({ page, cluster }) => {
  await logIn(page, cluster);
  const encoded = [PASSWORD, JSON.stringify(PASSWORD).slice(1, -1), encodeURIComponent(PASSWORD), 'sesame'];
  const nowhere = (what: string, text: string) => {
    for (const form of encoded) expect(text.includes(form), `${what} holds the password`).toBe(false);
  };
  // Job and pods of a backup that is going on are looked at too.
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
  nowhere('the CMS', cluster.cms());
  const secrets = objects(MANAGED, 'secrets').map((secret) => secret.metadata.name).sort();
  expect(secrets).toEqual(['orders', 'orders-from-s3', 'orders-restored']);
});

test('nothing is left when everything is deleted', async ({ page, cluster, stores }) => {
  test.skip(!process.env.TOYGRES_TEST_FAULTS, 'Not proven yet: the pod of a restore keeps its volume until the job\'s time to live is over.');
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
  const kinds = 'all,persistentvolumeclaims,secrets,configmaps,jobs,statefulsets,services,pods';
  await expect.poll(() => {
    const ours = objects(MANAGED, kinds).filter((one) => one.metadata.name !== 'kube-root-ca.crt');
    // Jobs whose end is written down stay for a while, for kubectl logs.
    return ours.filter((one) => !['Job', 'Pod'].includes(one.kind) || !one.metadata.labels?.['toygres.io/job']).map((one) => `${one.kind}/${one.metadata.name}`);
  }, { timeout: 120_000 }).toEqual([]);
  expect(await stores.keys('azure', 'toygres/')).toEqual([]);
  expect(await stores.keys('s3', 'toygres/')).toEqual([]);
});
