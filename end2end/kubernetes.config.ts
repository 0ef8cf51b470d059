// The stories that are told on a cluster: one after the other, for they share it, and some take parts of it down.
import base from './playwright.config.ts';
import { defineConfig } from '@playwright/test';

export default defineConfig({
  ...base,
  timeout: 420_000,
  expect: { timeout: 30_000 },
  use: { ...base.use, actionTimeout: 30_000 },
  fullyParallel: false,
  // They freeze parts of the cluster for minutes, which whoever shares it would notice.
  testIgnore: process.env.TOYGRES_TEST_FAULTS ? [] : ['**/faults.spec.ts'],
  projects: [{ name: 'kubernetes', testDir: 'kubernetes' }],
});
