// Emulators of Azure Blob Storage and S3, and token endpoints that check the cluster's tokens. Pods of the cluster can reach them.
import { createHmac } from 'node:crypto';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { kubectl } from './cluster.ts';

/** Azurite's well-known account; its key is in Azurite's documentation. */
const ACCOUNT = 'devstoreaccount1';
export const AZURE_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

/** The address of this machine for pods. */
const HOST =
  process.env.TOYGRES_TEST_HOST ??
  Object.values(networkInterfaces()).flat().find((address) => address && !address.internal && address.family === 'IPv4')!.address;

export class Emulators {
  private readonly dir = mkdtempSync(join(tmpdir(), 'toygres-stores-'));
  private readonly children: ChildProcess[] = [];
  /** The values for the forms of a store. */
  azure = { endpoint: '', authority: '' };
  s3 = { endpoint: '', sts: '' };
  /** The output of the token endpoints, a line of JSON for each exchange, and the requests that a store refused. */
  said = '';
  private s3Proxy?: ChildProcess;

  get root(): string {
    return readFileSync(join(this.dir, 'ca.pem'), 'utf8');
  }

  static async start(): Promise<Emulators> {
    const all = new Emulators();
    all.certificates();
    writeFileSync(join(all.dir, 'jwks.json'), kubectl(['get', '--raw', '/openid/v1/jwks']));
    const issuer = JSON.parse(kubectl(['get', '--raw', '/.well-known/openid-configuration'])).issuer;
    const azure = await all.tokens(issuer, 'api://AzureADTokenExchange');
    const sts = await all.tokens(issuer, 'sts.amazonaws.com');
    all.azure = { endpoint: await all.azurite(), authority: `https://${HOST}:${azure}` };
    all.s3 = { endpoint: await all.proxy(await all.moto()), sts: `https://${HOST}:${sts}` };
    return all;
  }

  /** Makes S3 answer normally, slowly, or with status 503. */
  s3Is(how: 'open' | 'slow' | 'refusing'): void {
    this.s3Proxy!.stdin!.write(`${how}\n`);
  }

  private certificates(): void {
    const openssl = (line: string) => {
      const result = spawnSync('openssl', line.split(' '), { cwd: this.dir, encoding: 'utf8' });
      if (result.status !== 0) throw new Error(result.stderr);
    };
    openssl('req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem');
    openssl(
      'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout tls.key -out tls.pem -CA ca.pem -CAkey ca.key ' +
        `-addext subjectAltName=IP:${HOST} -addext basicConstraints=critical,CA:FALSE`,
    );
  }

  private async tokens(issuer: string, audience: string): Promise<number> {
    const endpoint = join(import.meta.dirname, '../token-endpoint.mjs');
    return this.program('node', [endpoint], 'listening on', {
      ISSUER: issuer,
      AUDIENCE: audience,
      SUBJECT: 'system:serviceaccount:toygres-*',
      JWKS: join(this.dir, 'jwks.json'),
      CERT: join(this.dir, 'tls.pem'),
      KEY: join(this.dir, 'tls.key'),
      HOST: '0.0.0.0',
      // Short, so that tokens expire during a story.
      LIFE: '330',
    });
  }

  private async azurite(): Promise<string> {
    const args = ['--blobHost', '0.0.0.0', '--blobPort', '0', '--inMemoryPersistence', '--skipApiVersionCheck'];
    args.push('--oauth', 'basic', '--cert', join(this.dir, 'tls.pem'), '--key', join(this.dir, 'tls.key'));
    const port = await this.program(process.env.TOYGRES_AZURITE!, args, 'successfully listens on');
    const endpoint = `https://${HOST}:${port}/${ACCOUNT}`;
    await this.put(`${endpoint}/images?restype=container&${accountSas()}`);
    return endpoint;
  }

  private async moto(): Promise<string> {
    const port = 20000 + (process.pid % 20000);
    await this.program(process.env.TOYGRES_MOTO!, ['-H', '0.0.0.0', '-p', String(port)], 'Running on', { PYTHONUNBUFFERED: '1' });
    const endpoint = `http://${HOST}:${port}`;
    const response = await fetch(`${endpoint}/images`, { method: 'PUT' });
    if (!response.ok) throw new Error(await response.text());
    return endpoint;
  }

  private async proxy(target: string): Promise<string> {
    const port = await this.program('node', [join(import.meta.dirname, 'store-proxy.mjs')], 'listening on', { HOST: '0.0.0.0', TARGET: target });
    this.s3Proxy = this.children.at(-1);
    return `http://${HOST}:${port}`;
  }

  /** The keys of all objects below a prefix. */
  async keys(store: 'azure' | 's3', prefix: string): Promise<string[]> {
    if (store === 's3') {
      const text = await (await fetch(`${this.s3.endpoint}/images?list-type=2&prefix=${prefix}`)).text();
      return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map((match) => match[1]);
    }
    const text = await this.get(`${this.azure.endpoint}/images?restype=container&comp=list&prefix=${prefix}&${accountSas()}`);
    return [...text.matchAll(/<Name>([^<]*)<\/Name>/g)].map((match) => match[1]);
  }

  private put(url: string): Promise<string> {
    return this.request(url, 'PUT');
  }

  private get(url: string): Promise<string> {
    return this.request(url, 'GET');
  }

  private request(url: string, method: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const request = https.request(url, { method, ca: this.root, headers: { 'content-length': '0' } }, (response) => {
        let text = '';
        response.on('data', (part) => (text += part));
        response.on('end', () => (response.statusCode! < 300 ? resolve(text) : reject(new Error(`${response.statusCode}: ${text}`))));
      });
      request.on('error', reject).end();
    });
  }

  /** Starts a program and waits until it prints its port on a line with `mark`. */
  private program(name: string, args: string[], mark: string, env: Record<string, string> = {}): Promise<number> {
    const child = spawn(name, args, { cwd: this.dir, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    this.children.push(child);
    return new Promise((resolve, reject) => {
      let text = '';
      const read = (part: Buffer) => {
        text += part;
        if (mark === 'listening on') this.said += part;
        const line = text.split('\n').find((line) => line.includes(mark));
        const port = line?.match(/(\d+)\D*$/)?.[1];
        if (port) resolve(Number(port));
      };
      child.stdout!.on('data', read);
      child.stderr!.on('data', read);
      child.once('exit', (code) => reject(new Error(`${name} exited with ${code}: ${text}`)));
    });
  }

  stop(): void {
    for (const child of this.children) child.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A shared access signature for the account, with which the tests create and list the container. */
function accountSas(): string {
  const text = `${ACCOUNT}\nrwdlac\nb\nsco\n\n2099-01-01T00:00:00Z\n\nhttps,http\n2019-12-12\n`;
  const signature = encodeURIComponent(createHmac('sha256', Buffer.from(AZURE_KEY, 'base64')).update(text).digest('base64'));
  return `sv=2019-12-12&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&spr=https%2Chttp&sig=${signature}`;
}
