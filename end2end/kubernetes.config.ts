// The stories on a cluster, one at a time: they share it, and some stop parts of it.
import base from './playwright.config.ts';
import { defineConfig } from '@playwright/test';

export default defineConfig({
  ...base,
  timeout: 420_000,
  expect: { timeout: 30_000 },
  use: { ...base.use, actionTimeout: 30_000 },
  fullyParallel: false,
  // They freeze parts of the cluster for minutes, which disturbs other users of it.
  testIgnore: process.env.TOYGRES_TEST_FAULTS ? [] : ['**/faults.spec.ts'],
  projects: [{ name: 'kubernetes', testDir: 'kubernetes' }],
});
