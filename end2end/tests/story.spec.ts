// The main scenario on one machine: log in, create an instance, load data, back up, inspect the image, restore, compare.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ADMIN, expect, logIn, test, type Toygres } from '../toygres.ts';
import type { Page } from '@playwright/test';

const PASSWORD = `quote's "and" \\ $x`;
const NASTY = join(import.meta.dirname, '../../crates/agent/tests/nasty.sql');

async function createInstance(page: Page, toygres: Toygres, name: string): Promise<number> {
  await page.goto(`${toygres.url}/instances/new`);
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Superuser password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create instance' }).click();
  await page.waitForURL(/\/runs\//);
  await expect(page.locator('header.head .state')).toHaveText('succeeded', { timeout: 60_000 });
  return port(page, toygres, name);
}

async function port(page: Page, toygres: Toygres, name: string): Promise<number> {
  const answer = await page.request.get(`${toygres.url}/api/instances/${name}`);
  return (await answer.json()).port;
}

function psql(port: number, args: string[]): string {
  const done = spawnSync(join(process.env.POSTGRES_BIN!, 'psql'), ['-q', '-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', ...args], {
    env: { ...process.env, PGPASSWORD: PASSWORD },
    encoding: 'utf8',
  });
  if (done.status !== 0) throw new Error(done.stderr);
  return done.stdout;
}

/** The sorted lines of `pg_dumpall`, without the two random ones. */
function dump(port: number): string[] {
  const done = spawnSync(join(process.env.POSTGRES_BIN!, 'pg_dumpall'), ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres'], {
    env: { ...process.env, PGPASSWORD: PASSWORD },
    encoding: 'latin1',
    maxBuffer: 1 << 30,
  });
  if (done.status !== 0) throw new Error(done.stderr);
  const lines = done.stdout.split('\n').filter((line) => !/^\\(un)?restrict /.test(line));
  return lines.sort();
}

async function backUp(page: Page, toygres: Toygres, instance: string): Promise<void> {
  await page.goto(`${toygres.url}/instances/${instance}`);
  await page.getByRole('button', { name: 'Back up', exact: true }).click();
  await page.waitForURL(/\/runs\//);
}

async function openNewestImage(page: Page, toygres: Toygres): Promise<void> {
  await page.goto(`${toygres.url}/images`);
  await page.locator('tbody th a.name').first().click();
  await page.waitForURL(/\/images\/[0-9a-f-]{36}$/);
}

async function startRestore(page: Page, name: string): Promise<void> {
  await page.getByRole('link', { name: 'Restore image…' }).click();
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Run checks' }).click();
  // "Ready, with 1 warning" where PostgreSQL's programs have known vulnerabilities.
  await expect(page.locator('#checks').getByText(/^Ready/)).toBeVisible();
  await page.getByRole('button', { name: 'Restore image', exact: true }).click();
  await page.waitForURL(/\/runs\//);
}

const succeeded = async (page: Page) =>
  expect(page.locator('header.head .state')).toHaveText('succeeded', { timeout: 120_000 });

test.describe.configure({ mode: 'serial' });

test('backup and restore reproduce the instance', async ({ page, toygres }) => {
  const consoleErrors: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) consoleErrors.push(message.text());
  });
  page.on('pageerror', (error) => consoleErrors.push(String(error)));

  await logIn(page, toygres);
  const source = await createInstance(page, toygres, 'orders');
  psql(source, ['-f', NASTY]);

  await backUp(page, toygres, 'orders');
  // Steps and log lines arrive without a reload.
  await expect(page.getByRole('log')).toContainText('Copy data: started');
  await succeeded(page);
  await expect(page.getByRole('log')).toContainText('Publish image: succeeded');
  await expect(page.locator('.log .end')).toContainText('complete');

  await openNewestImage(page, toygres);
  await expect(page.locator('header.head .state')).toHaveText('available');
  await startRestore(page, 'orders-restored');
  await succeeded(page);
  await expect(page.getByRole('heading', { name: 'Matches the image' })).toBeVisible();

  const restored = await port(page, toygres, 'orders-restored');
  expect(dump(restored)).toEqual(dump(source));
  await openNewestImage(page, toygres);
  await expect(page.locator('header.head .state')).toHaveText('proven');
  expect(consoleErrors).toEqual([]);
});

test('backup and restore survive SIGKILL of the server', async ({ page, toygres }) => {
  await logIn(page, toygres);
  const source = await port(page, toygres, 'orders');
  // Large enough that the kill happens during the copy.
  psql(source, ['-d', 'shop', '-c', 'create table bulk as select n, repeat(md5(n::text), 8) as filler from generate_series(1, 1500000) n']);

  await backUp(page, toygres, 'orders');
  await expect(page.getByRole('log')).toContainText('copied with pg_dump');
  const run = page.url();
  await toygres.kill();
  await expect(page.locator('.log .end')).toContainText('connection lost');
  await toygres.up();
  await page.goto(run);
  await succeeded(page);
  const lines = await page.request.get(`${run.replace('/runs/', '/api/runs/')}/log`);
  const numbers = (await lines.json()).map((line: { n: number }) => line.n);
  expect(numbers).toEqual(numbers.map((_: number, at: number) => at + 1));

  await openNewestImage(page, toygres);
  await startRestore(page, 'orders-again');
  await expect(page.getByRole('log')).toContainText('restored with');
  const restoring = page.url();
  await toygres.kill();
  await toygres.up();
  await page.goto(restoring);
  await succeeded(page);
  expect(dump(await port(page, toygres, 'orders-again'))).toEqual(dump(source));
});

test('every action works without JavaScript', async ({ browser, toygres }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await logIn(page, toygres);
  await backUp(page, toygres, 'orders');
  await expect
    .poll(async () => {
      await page.reload();
      return page.locator('header.head .state').innerText();
    }, { timeout: 120_000 })
    .toBe('succeeded');
  // An invalid value is reported at its field, and the form keeps what was entered.
  await page.goto(`${toygres.url}/instances/new`);
  await page.getByLabel('Name', { exact: true }).fill('Not a name');
  await page.getByRole('button', { name: 'Create instance' }).click();
  await expect(page.getByText('A name consists of lowercase letters')).toBeVisible();
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('Not a name');
  // A deletion asks for the password and the name.
  await openNewestImage(page, toygres);
  const name = await page.locator('h1').evaluate((h1) => h1.firstChild!.textContent!.trim());
  await page.getByRole('link', { name: 'Delete image…' }).click();
  await page.getByLabel('Password', { exact: true }).fill(ADMIN.password);
  await page.locator('main button.primary').click();
  await page.getByLabel(`Type ${name} to confirm`).fill(name);
  await page.getByRole('button', { name: 'Delete image' }).click();
  await page.waitForURL(/\/runs\//);
  await context.close();
});

test('a page shows a change that came before its events', async ({ page, toygres }) => {
  await logIn(page, toygres);
  // On a slow connection, the program of a rendered page arrives late.
  let proceed!: () => void;
  const changed = new Promise<void>((resolve) => (proceed = resolve));
  await page.route(/\/pkg\/.*\.wasm/, async (route) => {
    await changed;
    await route.continue();
  });
  await page.goto(`${toygres.url}/instances`, { waitUntil: 'commit' });
  await expect(page.getByRole('link', { name: 'orders', exact: true })).toBeVisible();
  // Its size is known, so that no health check changes it now.
  toygres.cms(`insert into toygres.instance (id, name, platform, origin, status, image_type, username, database, tls, host, port, size_bytes)
    select gen_random_uuid(), 'late', id, 'external', 'running', 'stock', 'postgres', 'postgres', 'prefer', 'db.test', 5432, 1 from toygres.platform`);
  proceed();
  await expect(page.getByRole('link', { name: 'late', exact: true })).toBeVisible();
  toygres.cms("delete from toygres.instance where name = 'late'");
  await expect(page.getByRole('link', { name: 'late', exact: true })).toHaveCount(0);
});

test('an instance can be stopped and started', async ({ page, toygres }) => {
  await logIn(page, toygres);
  await page.goto(`${toygres.url}/instances/orders-again`);
  await page.getByRole('link', { name: 'Stop instance…' }).click();
  await page.getByRole('button', { name: 'Stop instance' }).click();
  await page.waitForURL(/\/runs\//);
  await succeeded(page);
  await page.goto(`${toygres.url}/instances/orders-again`);
  await expect(page.locator('header.head .state').first()).toHaveText('stopped');
  await expect(page.getByRole('button', { name: 'Back up', exact: true })).toHaveCount(0);
  await page.getByRole('button', { name: 'Start instance' }).click();
  await page.waitForURL(/\/runs\//);
  await succeeded(page);
  expect(psql(await port(page, toygres, 'orders-again'), ['-Atc', 'select 1'])).toBe('1\n');
});

test('a damaged image cannot be restored', async ({ page, toygres }) => {
  await logIn(page, toygres);
  await openNewestImage(page, toygres);
  const id = page.url().split('/').pop()!;
  const detail = await (await page.request.get(`${toygres.url}/api/images/${id}`)).json();
  const object = detail.manifest.objects.find((object: { format: string }) => object.format === 'copy-text');
  const file = join(toygres.dataDir, 'store', detail.prefix, object.key);
  spawnSync('sh', ['-c', `printf X | dd of="$1" bs=1 seek=${Math.floor(object.bytes / 2)} conv=notrunc`, 'sh', file]);
  await page.getByRole('button', { name: 'Verify image' }).click();
  await page.waitForURL(/\/runs\//);
  await expect(page.locator('header.head .state')).toHaveText('failed', { timeout: 60_000 });
  await expect(page.getByRole('heading', { name: 'An object of the image does not match what was written' })).toBeVisible();
  await page.goto(`${toygres.url}/images/${id}`);
  await expect(page.locator('header.head .state')).toHaveText('corrupt');
  await expect(page.getByRole('link', { name: 'Restore image…' })).toHaveCount(0);
});
