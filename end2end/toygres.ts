// A Toygres for one file of tests: the real program, an empty data directory, a free port.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect, type Page } from '@playwright/test';

export const ADMIN = { username: 'admin', password: 'correct horse battery 9' };

export class Toygres {
  private server?: ChildProcess;
  output = '';

  private constructor(
    readonly dataDir: string,
    readonly port: number,
  ) {}

  static async start(): Promise<Toygres> {
    const dataDir = mkdtempSync(join(tmpdir(), 'toygres-e2e-'));
    chmodSync(dataDir, 0o755); // PostgreSQL runs as another user if the tests run as root
    const toygres = new Toygres(join(dataDir, 'data'), await freePort());
    await toygres.up();
    return toygres;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts the server and waits until it is ready. */
  async up(): Promise<void> {
    const program = process.env.TOYGRES_SERVER!;
    const args = ['standalone', '--listen', `127.0.0.1:${this.port}`, '--data-dir', this.dataDir];
    const server = spawn(program, args, {
      env: {
        ...process.env,
        DATABASE_URL: undefined,
        TOYGRES_ADMIN_USERNAME: ADMIN.username,
        TOYGRES_ADMIN_PASSWORD: ADMIN.password,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.server = server;
    server.stdout!.on('data', (text) => (this.output += text));
    server.stderr!.on('data', (text) => (this.output += text));
    for (let i = 0; i < 600; i++) {
      if (server.exitCode !== null) throw new Error(`the server exited with ${server.exitCode}:\n${this.output}`);
      const ready = await fetch(`${this.url}/ready`).catch(() => undefined);
      if (ready?.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the server is not ready:\n${this.output}`);
  }

  /** Runs SQL in the state database, for states that no page can create, such as a log of many lines. */
  cms(sql: string): string {
    const [, , , port, socketDir] = readFileSync(join(this.dataDir, 'cms/data/postmaster.pid'), 'utf8').split('\n');
    const psql = join(process.env.POSTGRES_BIN!, 'psql');
    const result = spawnSync(psql, ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-h', socketDir!, '-p', port!, '-U', 'toygres', '-d', 'postgres'], {
      env: { ...process.env, PGPASSWORD: readFileSync(join(this.dataDir, 'cms.password'), 'utf8') },
      input: sql,
      encoding: 'utf8',
    });
    if (result.status !== 0) throw new Error(result.stderr);
    return result.stdout.trim();
  }

  /** Kills the server with SIGKILL. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Stops the server with SIGTERM. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const server = this.server;
    if (!server || server.exitCode !== null) return;
    const exited = new Promise((resolve) => server.once('exit', resolve));
    server.kill(signal);
    await exited;
    this.server = undefined;
  }

  /** Stops the server, every PostgreSQL and every job whose files are in the data directory, then removes the directory. */
  async remove(): Promise<void> {
    await this.stop();
    const ps = spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' }).stdout;
    for (const line of ps.split('\n')) {
      if (!line.includes(this.dataDir)) continue;
      try {
        process.kill(Number(line.trim().split(/\s+/)[0]), 'SIGKILL');
      } catch {
        // It has exited.
      }
    }
    rmSync(join(this.dataDir, '..'), { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = (server.address() as { port: number }).port;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export async function logIn(page: Page, toygres: { url: string }): Promise<void> {
  await page.goto(`${toygres.url}/login`);
  await page.getByLabel('User name').fill(ADMIN.username);
  await page.getByLabel('Password', { exact: true }).fill(ADMIN.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForURL(`${toygres.url}/`);
}

/** The test function of all stories. Each file has its own Toygres. */
export const test = base.extend<object, { toygres: Toygres }>({
  toygres: [
    async ({}, use) => {
      const toygres = await Toygres.start();
      await use(toygres);
      await toygres.remove();
    },
    { scope: 'worker', timeout: 120_000 },
  ],
});

export { expect };
