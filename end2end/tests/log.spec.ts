// A log of 200,000 lines: the page holds a range of it and loads the rest on demand.
import { expect, logIn, test, type Toygres } from '../toygres.ts';
import type { Page } from '@playwright/test';

const RUN = '0190d0b8-6d5f-7000-8000-00000000c0de';
const LINES = 200_000;

/** Writes the lines of a run between two numbers; each ten thousandth is an error. */
function write(toygres: Toygres, from: number, to: number): void {
  toygres.cms(`
    insert into toygres.log_chunk (run_id, first, last, lines)
      select '${RUN}', c, least(c + 499, ${to}), (select jsonb_agg(jsonb_build_object('at', '2026-11-24T00:00:00Z',
        'level', case when n % 10000 = 0 then 'error' else 'info' end, 'step', 'RunBackupJob',
        'message', 'Line ' || n || ' of the table public.orders') order by n)
        from generate_series(c, least(c + 499, ${to})) n)
      from generate_series(${from}, ${to}, 500) c;
    insert into toygres.run_log values ('${RUN}', ${to}) on conflict (run_id) do update set lines = ${to};`);
}

const lines = (page: Page) => page.locator('.log li');
const numbers = (page: Page) => lines(page).evaluateAll((all) => all.map((li) => Number(li.id.slice(1))));

test('a log of 200,000 lines is paged and searchable', async ({ page, toygres }) => {
  await logIn(page, toygres);
  toygres.cms(`insert into toygres.run (id, name, version, pool, input, labels)
    values ('${RUN}', 'create-image', 1, 'none', '{}', '{"title": "Back up orders"}');`);
  write(toygres, 1, LINES);
  await page.goto(`${toygres.url}/runs/${RUN}`);
  await expect(page.locator('.log .end')).toContainText('lines 199,501 to 200,000 of 200,000');
  await expect(page.locator('.log .end').getByText('live', { exact: true })).toBeVisible();

  // Earlier lines are added at the top, and the page holds a limited number.
  await page.locator('.log .lines').evaluate((box) => (box.scrollTop = 0));
  for (let more = 1; more <= 5; more++) {
    await page.getByRole('link', { name: 'Load earlier lines' }).click();
    await expect(lines(page).first()).toHaveAttribute('id', `L${LINES - 499 - more * 500}`);
  }
  const held = await numbers(page);
  expect(held.length).toBe(2000);
  expect(held).toEqual(held.map((_, at) => held[0]! + at));
  await page.getByRole('link', { name: 'Go to the end' }).click();
  await expect(lines(page).last()).toHaveAttribute('id', `L${LINES}`);

  // The search covers all lines, also those that arrive later.
  await page.getByLabel('Search the log').fill('LINE 12345');
  await expect(page.locator('.log output')).toHaveText('11 lines');
  expect(await numbers(page)).toEqual([12_345, ...Array.from({ length: 10 }, (_, n) => 123_450 + n)]);
  await expect(page.locator('.log mark').first()).toHaveText('Line 12345');
  await page.getByLabel('Search the log').fill('');
  await page.getByLabel('Show').selectOption('warn');
  await expect(page.locator('.log output')).toHaveText('20 lines');
  write(toygres, LINES + 1, LINES + 10_000);
  await expect(page.locator('.log output')).toHaveText('21 lines');
  await page.getByLabel('Show').selectOption('debug');
  await expect(lines(page).last()).toHaveAttribute('id', `L${LINES + 10_000}`);
  expect((await numbers(page)).length).toBeLessThanOrEqual(2000);

  // A link to a line outside the range opens it.
  await page.goto(`${toygres.url}/`);
  await page.goto(`${toygres.url}/runs/${RUN}#L77777`);
  await expect(page.locator('#L77777')).toBeInViewport();
  toygres.cms(`delete from toygres.log_chunk where run_id = '${RUN}'; delete from toygres.run where id = '${RUN}';`);
});

test('the log is paged and searchable without JavaScript', async ({ browser, toygres }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await logIn(page, toygres);
  toygres.cms(`insert into toygres.run (id, name, version, pool, input, labels)
    values ('${RUN}', 'create-image', 1, 'none', '{}', '{"title": "Back up orders"}');`);
  write(toygres, 1, 20_000);
  await page.goto(`${toygres.url}/runs/${RUN}`);
  await page.getByRole('link', { name: 'Load earlier lines' }).click();
  await expect(lines(page).last()).toHaveAttribute('id', 'L19500');
  await page.getByLabel('Search the log').fill('line 777 of');
  await page.getByRole('button', { name: 'Search' }).click();
  expect(await numbers(page)).toEqual([777]);
  toygres.cms(`delete from toygres.log_chunk where run_id = '${RUN}'; delete from toygres.run where id = '${RUN}';`);
  await context.close();
});
