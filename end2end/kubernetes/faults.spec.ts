// Faults of a cluster during a run, one at a time: deleted pods and Jobs, an unresponsive API server, kubelet and DNS, an
// overloaded store. Each run succeeds, or fails with its cause and leaves nothing.
import type { Page } from '@playwright/test';
import { Cluster, MANAGED, SYSTEM, frozen, kubectl, objects, part, seconds } from './cluster.ts';
import type { Emulators } from './emulators.ts';
import { expect, stories } from './fixtures.ts';
import { addStore, backUp, createInstance, dump, ended, isGapless, logIn, openNewestImage, psql, startRestore } from './pages.ts';

const test = stories(() => Cluster.start());
const NOT_FREEZABLE = 'The parts of this cluster cannot be frozen.';

/** A run as the REST API returns it; undefined while the server is unavailable. */
interface Run {
  state: string;
  step_rows: { name: string; state: string; started_at?: string; progress?: { bytes: number } }[];
}

async function fetchRun(page: Page, run: string): Promise<Run | undefined> {
  const answer = await page.request.get(run.replace('/runs/', '/api/runs/')).catch(() => undefined);
  return answer?.ok() ? answer.json() : undefined;
}

async function step(page: Page, run: string, name: string): Promise<Run['step_rows'][0] | undefined> {
  return (await fetchRun(page, run))?.step_rows.find((step) => step.name === name);
}

/** Waits until a step's job has something done, and more to do: the store is slow. */
async function works(page: Page, run: string, name: string): Promise<void> {
  await expect.poll(async () => (await step(page, run, name))?.progress?.bytes ?? 0, { timeout: 60_000 }).toBeGreaterThan(0);
}

/** Begins a backup that lasts as long as the store is slow, and returns its run. */
async function slowBackup(page: Page, cluster: Cluster, stores: Emulators): Promise<string> {
  await logIn(page, cluster);
  stores.s3Is('slow');
  await backUp(page, cluster, 'source');
  await works(page, page.url(), 'RunBackupJob');
  await expect(page.locator('.log .end').getByText('live', { exact: true })).toBeVisible();
  return page.url();
}

/** The same of a restore. */
async function slowRestore(page: Page, cluster: Cluster, stores: Emulators, name: string): Promise<string> {
  await logIn(page, cluster);
  await openNewestImage(page, cluster);
  stores.s3Is('slow');
  await startRestore(page, name);
  await works(page, page.url(), 'RunRestoreJob');
  return page.url();
}

/** Asserts that the run succeeds without a reload, that its log is complete, and that nothing is left over. */
async function endsWell(page: Page, cluster: Cluster, stores: Emulators): Promise<void> {
  stores.s3Is('open');
  await ended(page, 'succeeded', 180_000);
  await expect(page.locator('.log .end')).toContainText('complete');
  await isGapless(page, page.url());
  await nothingIsLeft(page, cluster, stores);
}

/** Asserts that no job is active, and that every object belongs to a running instance or an image. */
async function nothingIsLeft(page: Page, cluster: Cluster, stores: Emulators): Promise<void> {
  const listed: { id: string; status: string }[] = await (await page.request.get(`${cluster.url}/api/instances`)).json();
  const running = listed.filter((one) => one.status === 'running').map((one) => one.id);
  const kinds = 'jobs,secrets,configmaps,persistentvolumeclaims,statefulsets,services';
  await expect.poll(() => {
    const orphans = objects(MANAGED, kinds).filter(({ kind, metadata, status }) => {
      if (kind === 'Job') return !status?.conditions?.some((one) => ['Complete', 'Failed'].includes(one.type) && one.status === 'True');
      return metadata.name !== 'kube-root-ca.crt' && !running.includes(metadata.labels?.['toygres.io/instance'] ?? '');
    });
    return orphans.map((one) => `${one.kind}/${one.metadata.name}`);
  }, { timeout: 60_000 }).toEqual([]);
  const prefixes = cluster.query("select 'toygres/' || prefix || '/' from toygres.image where prefix is not null");
  const keys = await stores.keys('s3', 'toygres/');
  expect(keys.filter((key) => !prefixes.some((prefix) => key.startsWith(prefix)))).toEqual([]);
}

/** The Job that a run has at work, which is its first. */
function jobOf(run: string): string {
  const id = run.split('/').at(-1)!.replaceAll('-', '');
  const jobs = objects(MANAGED, 'jobs').map((job) => job.metadata.name);
  return jobs.find((name) => name.startsWith(`t-${id}-`))!;
}

/** Deletes at once what is named, without grace. */
function destroy(namespace: string, ...what: string[]): void {
  kubectl(['delete', '-n', namespace, ...what, '--force', '--grace-period=0']);
}

/** The row of a step in the table of a run's page. */
function row(page: Page, step: string) {
  return page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: step, exact: true }) });
}

test('prepare the source', async ({ page, cluster, stores }) => {
  await logIn(page, cluster);
  const access = { role_arn: 'arn:aws:iam::123456789012:role/toygres', sts_endpoint: stores.s3.sts, endpoint: stores.s3.endpoint };
  await addStore(page, cluster, 's3', 's3://images/toygres', { ...access, region: 'eu-central-1', root_certificate: stores.root }, 'aws_identity');
  await createInstance(page, cluster, 'source');
  await ended(page, 'succeeded');
  const words = Array.from({ length: 8 }, (_, at) => `md5((n * 8 + ${at})::text)`).join(' || ');
  for (const database of ['cars', 'dolls', 'kites', 'trains']) {
    psql(cluster, 'source', ['-c', `create database ${database}`]);
    const tables = ['a', 'b', 'c', 'd'].flatMap((name) => ['-c', `create table ${name} as select n, ${words} as words from generate_series(1, 15000) n`]);
    psql(cluster, 'source', ['-d', database, ...tables]);
  }
});

test('the api pods are deleted during a backup', async ({ page, cluster, stores }) => {
  await slowBackup(page, cluster, stores);
  destroy(SYSTEM, 'pods', '-l', 'app.kubernetes.io/name=toygres-api');
  await expect(page.locator('.log .end')).toContainText('connection lost');
  await expect(page.locator('.log .end').getByText('live', { exact: true })).toBeVisible({ timeout: 90_000 });
  await endsWell(page, cluster, stores);
});

test('the worker pod that holds a backup is deleted', async ({ page, cluster, stores }) => {
  const run = await slowBackup(page, cluster, stores);
  const holder = `select split_part(worker, '/', 1) from toygres.job where run_id = '${run.split('/').at(-1)}' and ended_at is null`;
  const [first] = cluster.query(holder);
  destroy(SYSTEM, 'pod', first);
  await expect.poll(() => cluster.query(holder)[0] ?? first, { timeout: 60_000 }).not.toBe(first);
  await endsWell(page, cluster, stores);
});

test("a job's pod is deleted during a backup", async ({ page, cluster, stores }) => {
  const run = await slowBackup(page, cluster, stores);
  destroy(MANAGED, 'pods', '-l', `toygres.io/job=${jobOf(run)}`);
  await expect(row(page, 'Copy data')).toContainText('2 of 5');
  await expect(row(page, 'Copy data')).toContainText('deleted');
  await endsWell(page, cluster, stores);
});

test('the store answers 503 for 30 s', async ({ page, cluster, stores }) => {
  await slowBackup(page, cluster, stores);
  stores.s3Is('refusing');
  await seconds(30);
  expect(stores.said).toMatch(/^refused (PUT|POST) /m);
  await endsWell(page, cluster, stores);
});

test('a Job is deleted during a restore', async ({ page, cluster, stores }) => {
  const run = await slowRestore(page, cluster, stores, 'without-job');
  destroy(MANAGED, 'job', jobOf(run));
  await expect(row(page, 'Restore data')).toContainText('2 of 3', { timeout: 60_000 });
  await expect(row(page, 'Restore data')).toContainText('deleted');
  await endsWell(page, cluster, stores);
  expect(dump('without-job')).toEqual(dump('source'));
});

test('the API server is frozen for 60 s during a backup', async ({ page, cluster, stores }) => {
  test.skip(!part('apiserver'), NOT_FREEZABLE);
  await slowBackup(page, cluster, stores);
  await frozen('apiserver', async () => {
    // The job ends while the API server does not respond.
    stores.s3Is('open');
    await seconds(60);
  });
  await endsWell(page, cluster, stores);
  // The job was not replaced by another one.
  await expect(row(page, 'Copy data')).not.toContainText(/[2-5] of 5/);
});

test('the kubelet is frozen for 60 s during a restore', async ({ page, cluster, stores }) => {
  test.skip(!part('kubelet'), NOT_FREEZABLE);
  await slowRestore(page, cluster, stores, 'slept');
  await frozen('kubelet', async () => {
    stores.s3Is('open');
    await seconds(60);
  });
  await endsWell(page, cluster, stores);
  expect(dump('slept')).toEqual(dump('source'));
});

/** A restore whose connection test has met no DNS for so many seconds. The servers' own database is out of reach for new
 *  connections meanwhile, so that what happens is seen afterwards. */
async function restoreWithoutDns(page: Page, cluster: Cluster, name: string, long: number): Promise<void> {
  await logIn(page, cluster);
  await openNewestImage(page, cluster);
  await startRestore(page, name);
  const run = page.url();
  await expect.poll(async () => (await step(page, run, 'RunRestoreJob'))?.state, { timeout: 60_000, intervals: [200] }).toBe('done');
  await frozen('dns', async () => {
    await expect(page.getByRole('log')).toContainText('does not resolve', { timeout: 90_000 });
    await seconds(long);
  });
}

test('DNS is down for 90 s of a connection test, which waits', async ({ page, cluster, stores }) => {
  test.skip(!part('dns'), NOT_FREEZABLE);
  await restoreWithoutDns(page, cluster, 'late', 90);
  await endsWell(page, cluster, stores);
  await expect(row(page, 'Test connection')).not.toContainText(/[2-5] of 5/);
  expect(dump('late')).toEqual(dump('source'));
});

test('DNS is down for longer than a connection test waits, and the run can be retried', async ({ page, cluster, stores }) => {
  test.skip(!part('dns'), NOT_FREEZABLE);
  await restoreWithoutDns(page, cluster, 'lost', 125);
  await ended(page, 'failed', 120_000);
  const trouble = page.locator('section.alert.fail');
  await expect(trouble).toContainText('lost.', { ignoreCase: true });
  await expect(trouble).toContainText('The host name does not resolve');
  await nothingIsLeft(page, cluster, stores);
  const lost = page.url();
  await page.getByRole('button', { name: 'Retry run' }).click();
  await page.waitForURL((url) => url.href !== lost);
  await endsWell(page, cluster, stores);
  expect(dump('lost')).toEqual(dump('source'));
});
