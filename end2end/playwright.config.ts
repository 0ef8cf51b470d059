// The stories, and the browser that runs them: the Chromium of this machine.
import { defineConfig } from '@playwright/test';

export default defineConfig({
  workers: 1,
  timeout: 180_000,
  expect: { timeout: 15_000 },
  forbidOnly: !!process.env.CI,
  outputDir: 'test-results',
  use: {
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
  },
  projects: [
    { name: 'stories', testDir: 'tests' },
    // The accessibility checker examines each page.
    { name: 'screenshots', testDir: 'screenshots', timeout: 600_000 },
  ],
});
