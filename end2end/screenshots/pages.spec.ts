// Every page, light and dark, wide and narrow: its accessibility, its width and, with PICTURES, a screenshot; also the pictures of the documents.
import AxeBuilder from '@axe-core/playwright';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, logIn, test, type Toygres } from '../toygres.ts';
import type { APIRequestContext, Page } from '@playwright/test';

const OUT = join(import.meta.dirname, '../../target/screenshots');
const PICTURES = join(import.meta.dirname, '../../docs/pictures');
/** The pictures of the documents: page and file. */
const DOCUMENTED: Record<string, string> = {
  overview: 'overview',
  instance: 'instance',
  image: 'image',
  'restore-check': 'restore',
  run: 'receipt',
  'run-waiting': 'run-live',
  'run-failed': 'run-failed',
};

async function post(request: APIRequestContext, toygres: Toygres, path: string, data: object): Promise<{ id: string; run_id: string }> {
  const answer = await request.post(toygres.url + path, { data, headers: { origin: toygres.url } });
  expect(answer.status()).toBe(202);
  return answer.json();
}

async function ended(request: APIRequestContext, toygres: Toygres, run: string): Promise<void> {
  await expect
    .poll(async () => (await (await request.get(`${toygres.url}/api/runs/${run}`)).json()).state, { timeout: 60_000 })
    .toBe('succeeded');
}

/** Creates three instances, an image and a restore. */
async function fill(page: Page, toygres: Toygres): Promise<void> {
  const { request } = page;
  const orders = await post(request, toygres, '/api/instances', { name: 'orders' });
  await ended(request, toygres, orders.run_id);
  const image = await post(request, toygres, '/api/images', { name: 'orders-nightly', instance_id: orders.id, description: 'Before the migration' });
  await ended(request, toygres, image.run_id);
  const restored = await post(request, toygres, '/api/instances', { name: 'orders-staging', source_image_id: image.id });
  await ended(request, toygres, restored.run_id);
  const billing = await post(request, toygres, '/api/instances', { name: 'billing' });
  await ended(request, toygres, billing.run_id);
  stage(toygres);
}

const WAITING = '0190d0b8-6d5f-7000-8000-000000000001';
const FAILED = '0190d0b8-6d5f-7000-8000-000000000002';

/** Writes the rows of states that occur only in a cluster. */
function stage(toygres: Toygres): void {
  const step = (run: string, position: number, name: string, state: string, attempts = '1, 5', error = 'null') => {
    const started = state === 'todo' ? 'null' : "now() - interval '40 s'";
    const finished = ['done', 'undone'].includes(state) ? "now() - interval '2 s'" : 'null';
    const undone = state === 'undone' ? "now() - interval '2 s', now()" : 'null, null';
    return `insert into toygres.step (run_id, position, name, state, attempt, attempts, allowed, started_at, finished_at,
        undo_started_at, undo_finished_at, output, error)
      values ('${run}', ${position}, '${name}', '${state}', ${state === 'todo' ? '0, 5' : attempts}, '1 day',
        ${started}, ${finished}, ${undone}, ${finished === 'null' || error !== 'null' ? 'null' : "'{}'"}, ${error});`;
  };
  toygres.cms(`
    insert into toygres.run (id, name, version, pool, input, labels, position, created_at)
      select '${WAITING}', 'create-image', 1, 'none', '{}', jsonb_build_object('title', 'Back up billing', 'started_by', 'admin',
        'instance', id, 'instance_name', name), 2, now() - interval '41 s' from toygres.instance where name = 'billing';
    ${step(WAITING, 0, 'CreateImageRecord', 'done')} ${step(WAITING, 1, 'GetInstanceByK8sName', 'done')}
    ${step(WAITING, 2, 'RunBackupJob', 'waiting')} ${step(WAITING, 3, 'VerifyImage', 'todo')} ${step(WAITING, 4, 'UpdateImageStatus', 'todo')}
    select toygres.log_event('${WAITING}', 'info', 'RunBackupJob', 'step_started', '{}');
    insert into toygres.job (name, platform, run_id, step, attempt, position, worker, lease_until, waiting)
      select 't-1-runbackupjob-1', id, '${WAITING}', 'RunBackupJob', 1, 2, 'screenshots', now() + interval '1 day',
        '{"code": "unschedulable", "subject": "t-1-runbackupjob-1-x2x9k", "detail": "0/3 nodes are available: 3 Insufficient memory."}'
      from toygres.platform;
    insert into toygres.run (id, name, version, pool, input, labels, state, error, error_code, error_subject, due_at, finished_at, created_at)
      values ('${FAILED}', 'restore-image', 1, 'none', '{}', '{"title": "Restore orders-nightly into orders-eu", "started_by": "admin"}', 'failed',
        'OOMKilled, memory limit 2Gi', 'out_of_memory', 't-2-runrestorejob-1-k7m2p', null, now(), now() - interval '4 min');
    ${step(FAILED, 0, 'CreatePvc', 'undone')} ${step(FAILED, 1, 'RunRestoreJob', 'undone', '3, 3', "'OOMKilled, memory limit 2Gi'")}
    update toygres.instance set image_type = 'pg_durable' where name = 'billing';`);
}

/** The looks of each page. Every colour scheme and every width is examined once: colours do not depend on the width. */
const LOOKS = [
  { colorScheme: 'light', width: 1360, examined: true },
  { colorScheme: 'dark', width: 1360, examined: false },
  { colorScheme: 'light', width: 390, examined: false },
  { colorScheme: 'dark', width: 390, examined: true },
] as const;

test('every page is accessible and fits the window', async ({ page, toygres }) => {
  mkdirSync(OUT, { recursive: true });
  await logIn(page, toygres);
  await fill(page, toygres);
  for (const [name, path] of Object.entries(await known(page, toygres))) {
    await page.goto(toygres.url + path);
    await page.waitForTimeout(400); // hydration; the event stream keeps the network busy
    for (const { colorScheme, width, examined } of LOOKS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      if (process.env.PICTURES) await takePictures(page, name, colorScheme, width);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(over, `${path} is wider than the window of ${width}`).toBeLessThanOrEqual(0);
      if (!examined) continue;
      const grave = (await new AxeBuilder({ page: page as never }).analyze()).violations.filter((one) => ['serious', 'critical'].includes(one.impact ?? ''));
      expect(grave.map((one) => `${path}, ${colorScheme}: ${one.id} ${one.nodes[0]?.html}`)).toEqual([]);
    }
  }
});

/** Writes the screenshot of a page, and the picture of the documents that shows it. */
async function takePictures(page: Page, name: string, colorScheme: string, width: number): Promise<void> {
  await page.screenshot({ path: join(OUT, `${name}-${colorScheme}-${width}.png`), fullPage: true });
  if (DOCUMENTED[name] && colorScheme === 'light' && width === 1360) {
    await page.screenshot({ path: join(PICTURES, `${DOCUMENTED[name]}.png`) });
  }
}

async function known(page: Page, toygres: Toygres): Promise<Record<string, string>> {
  const images = await (await page.request.get(`${toygres.url}/api/images`)).json();
  const runs = await (await page.request.get(`${toygres.url}/api/runs?workflow=restore-image&state=succeeded`)).json();
  const image = images[0].id;
  return {
    overview: '/',
    instances: '/instances',
    instance: '/instances/orders',
    'new-instance': '/instances/new',
    'add-instance': '/instances/add',
    images: '/images',
    image: `/images/${image}`,
    'restore-name': `/images/${image}/restore`,
    'restore-check': `/images/${image}/restore?name=orders-new`,
    'restore-taken': `/images/${image}/restore?name=orders`,
    runs: '/runs',
    run: `/runs/${runs[0].id}`,
    'restore-change': `/images/${image}/restore?change=1&name=orders-new`,
    'run-waiting': `/runs/${WAITING}`,
    'run-failed': `/runs/${FAILED}`,
    'run-searched': `/runs/${runs[0].id}?q=restored&level=info`,
    'instance-worker-missing': '/instances/billing',
    settings: '/settings',
    'settings-stores': '/settings?at=stores',
    'settings-platform': '/settings?at=platform',
    'not-found': '/nothing-here',
  };
}
