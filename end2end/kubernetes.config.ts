// The stories that are told on a cluster: one after the other, for they share it, and some take parts of it down.
import base from './playwright.config.ts';
import { defineConfig } from '@playwright/test';

export default defineConfig({
  ...base,
  timeout: 420_000,
  expect: { timeout: 30_000 },
  fullyParallel: false,
  projects: [{ name: 'kubernetes', testDir: 'kubernetes' }],
});
