// Actions of the cluster scenarios on pages and in instances.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { ADMIN, expect } from '../toygres.ts';
import { MANAGED, kubectl, type Cluster } from './cluster.ts';

/** A password with characters that break incorrect quoting; also the one that must not leak. */
export const PASSWORD = `sesame"'\${}: #7f3a`;
export const NASTY = join(import.meta.dirname, '../../crates/agent/tests/nasty.sql');

export async function logIn(page: Page, cluster: Cluster): Promise<void> {
  await page.goto(`${cluster.url}/login`);
  await page.getByLabel('User name').fill(ADMIN.username);
  await page.getByLabel('Password', { exact: true }).fill(ADMIN.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(`${cluster.url}/`);
}

/** Confirms the password for sudo mode. */
export async function sudo(page: Page, cluster: Cluster): Promise<void> {
  const answer = await page.request.post(`${cluster.url}/api/sudo`, { data: { password: ADMIN.password }, headers: { origin: cluster.url } });
  expect(answer.status(), await answer.text()).toBeLessThan(300);
}

export async function ended(page: Page, state: 'succeeded' | 'failed' | 'cancelled', timeout = 240_000): Promise<void> {
  await expect(page.locator('header.head .state')).toHaveText(state, { timeout });
}

/** Adds a store with the form and makes it the default. */
export async function addStore(
  page: Page,
  cluster: Cluster,
  name: string,
  url: string,
  fields: Record<string, string>,
  auth: string,
): Promise<void> {
  await sudo(page, cluster);
  await page.goto(`${cluster.url}/settings?at=stores`);
  const form = page.locator('#new-store form');
  await form.locator('[name="name"]').fill(name);
  await form.locator('[name="url"]').fill(url);
  await form.locator('[name="access[auth]"]').selectOption(auth);
  for (const [field, value] of Object.entries(fields)) await form.locator(`[name="access[${field}]"]`).fill(value);
  await form.getByRole('button', { name: 'Add store' }).click();
  const row = page.getByRole('row').filter({ hasText: url });
  await expect(row).toBeVisible({ timeout: 120_000 });
  // The first store becomes the default automatically.
  const isDefault = row.locator('.state', { hasText: /^default store$/ });
  if ((await isDefault.count()) === 0) {
    await row.locator('summary').click();
    await row.getByRole('button', { name: 'Set as default store' }).click({ timeout: 15_000 });
  }
  await expect(isDefault).toBeVisible();
}

export async function createInstance(page: Page, cluster: Cluster, name: string, type = 'stock'): Promise<void> {
  await page.goto(`${cluster.url}/instances/new`);
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Superuser password').fill(PASSWORD);
  if (type !== 'stock') {
    const choice = page.locator('[name="image_type"]');
    await page.locator('details', { has: choice }).locator('summary').click();
    await choice.selectOption(type);
  }
  await page.getByRole('button', { name: 'Create instance' }).click();
  await page.waitForURL(/\/runs\//);
}

/** Deletes an instance with its data; a small cluster holds few. */
export async function deleteInstance(page: Page, cluster: Cluster, name: string): Promise<void> {
  await sudo(page, cluster);
  await page.goto(`${cluster.url}/instances/${name}?ask=delete`);
  await page.getByLabel(`Type ${name} to confirm`).fill(name);
  await page.getByRole('button', { name: 'Delete instance' }).click();
  await page.waitForURL(/\/runs\//);
  await ended(page, 'succeeded', 60_000);
}

export async function backUp(page: Page, cluster: Cluster, instance: string): Promise<void> {
  await page.goto(`${cluster.url}/instances/${instance}`);
  await page.getByRole('button', { name: 'Back up', exact: true }).click();
  await page.waitForURL(/\/runs\//);
}

export async function openNewestImage(page: Page, cluster: Cluster): Promise<void> {
  await page.goto(`${cluster.url}/images`);
  await page.locator('tbody th a.name').first().click();
  await page.waitForURL(/\/images\/[0-9a-f-]{36}$/);
}

export async function startRestore(page: Page, name: string): Promise<void> {
  await page.getByRole('link', { name: 'Restore image…' }).click();
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Run checks' }).click();
  await expect(page.getByRole('button', { name: 'Restore image', exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Restore image', exact: true }).click();
  await page.waitForURL(/\/runs\//);
}

/** Asserts that the numbers of a run's log lines have no gap. */
export async function isGapless(page: Page, run: string): Promise<number> {
  for (let last = 0; ; ) {
    const answer = await page.request.get(`${run.replace('/runs/', '/api/runs/')}/log?after=${last}&limit=10000`);
    const lines: { n: number; message: string }[] = await answer.json();
    if (lines.length === 0) return last;
    expect(lines.map((line) => line.n)).toEqual(lines.map((_, at) => last + at + 1));
    expect(lines.filter((line) => /lines of the job are missing/.test(line.message))).toEqual([]);
    last += lines.length;
  }
}

export function psql(cluster: Cluster, instance: string, args: string[]): string {
  const done = spawnSync(join(process.env.POSTGRES_BIN!, 'psql'), ['-q', '-h', cluster.address(instance), '-U', 'postgres', ...args], {
    env: { ...process.env, PGPASSWORD: PASSWORD },
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  if (done.status !== 0) throw new Error(done.stderr);
  return done.stdout;
}

/** `pg_dumpall` of the server's own version, for an older one dumps what is internal to a newer server; its lines sorted,
 *  without those that are random each time. */
export function dump(instance: string): string[] {
  const text = kubectl(['exec', '-n', MANAGED, `${instance}-0`, '-c', 'postgres', '--', 'pg_dumpall', '-U', 'postgres'], undefined, 'latin1');
  return text.split('\n').filter((line) => !/^\\(un)?restrict /.test(line)).sort();
}
