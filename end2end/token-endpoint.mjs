// Stands in for Microsoft Entra and for AWS STS in tests: exchanges a workload's own token, which it checks as they do
// (signature by the issuer's keys, issuer, audience, subject, expiry), for one that Azurite takes, or for keys that moto
// takes. It needs Node alone.
//
// Its settings are environment variables:
//   ISSUER, AUDIENCE, SUBJECT   what the workload's token must say; SUBJECT may end in * for any that begins so
//   JWKS                        the issuer's keys: a file or an https:// URL (CA names the PEM file to trust it by)
//   CERT, KEY                   its own TLS certificate and key, PEM files
//   PORT, HOST                  where it listens; 0 finds a free port. `listening on <port>` is its first line
//   LIFE                        how many seconds the tokens that it gives live (3600)
//   CLIENT_ID                   the only client it knows, if set
//   BODY_DELAY                  milliseconds before it answers (0)
// Each exchange is a line of JSON on standard output: what was asked, by whom, and the answer's code.
import { createPublicKey, verify, createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';

const env = process.env;
const life = Number(env.LIFE ?? 3600);

async function keys() {
  if (!env.JWKS.startsWith('https://')) return JSON.parse(readFileSync(env.JWKS, 'utf8')).keys;
  return new Promise((resolve, reject) => {
    const ca = env.CA ? readFileSync(env.CA) : undefined;
    https.get(env.JWKS, { ca }, (answer) => {
      let text = '';
      answer.on('data', (part) => (text += part)).on('end', () => resolve(JSON.parse(text).keys));
    }).on('error', reject);
  });
}

const decoded = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());

class Refusal extends Error {
  constructor(code, sts, words) {
    super(words);
    Object.assign(this, { code, sts });
  }
}

/** The claims of a token that is good, or a refusal with the codes that Entra and STS have for it. */
async function claimsOf(token) {
  const [head, body, signature, ...more] = (token ?? '').trim().split('.');
  if (!signature || more.length) throw new Refusal('AADSTS50027', 'InvalidIdentityToken', 'JWT token is invalid or malformed.');
  const claims = decoded(body);
  const about = `presented assertion issuer '${claims.iss}'`;
  if (claims.iss !== env.ISSUER) {
    throw new Refusal('AADSTS700211', 'InvalidIdentityToken', `No matching federated identity record found for ${about}.`);
  }
  const { kid, alg } = decoded(head);
  const key = (await keys()).find((key) => key.kid === kid);
  const algorithms = { RS256: 'sha256', ES256: 'sha256' };
  const good = key && algorithms[alg] && verify(
    algorithms[alg],
    Buffer.from(`${head}.${body}`),
    { key: createPublicKey({ key, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  if (!good) throw new Refusal('AADSTS50027', 'InvalidIdentityToken', 'The signature of the assertion is not valid.');
  if (![claims.aud].flat().includes(env.AUDIENCE)) {
    throw new Refusal('AADSTS700212', 'InvalidIdentityToken', `No matching federated identity record found for presented assertion audience '${claims.aud}'.`);
  }
  const subject = env.SUBJECT;
  const fits = subject.endsWith('*') ? claims.sub.startsWith(subject.slice(0, -1)) : claims.sub === subject;
  if (!fits) {
    throw new Refusal('AADSTS700213', 'AccessDenied', `No matching federated identity record found for presented assertion subject '${claims.sub}'.`);
  }
  if (claims.exp * 1000 < Date.now()) {
    throw new Refusal('AADSTS700024', 'ExpiredTokenException', 'Client assertion is not within its valid time range.');
  }
  return claims;
}

/** A token as Azurite checks it: issuer, audience and times. */
function accessToken(claims) {
  const now = Math.floor(Date.now() / 1000);
  const body = {
    aud: 'https://storage.azure.com', iss: 'https://sts.windows-ppe.net/toygres/',
    iat: now, nbf: now - 5, exp: now + life, sub: claims.sub, oid: claims.sub, tid: 'tenant',
  };
  const text = [{ alg: 'HS256', typ: 'JWT' }, body].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${text}.${createHmac('sha256', 'not verified').update(text).digest('base64url')}`;
}

async function entra(form) {
  if (form.get('grant_type') !== 'client_credentials' || form.get('scope') !== 'https://storage.azure.com/.default') {
    throw new Refusal('AADSTS70011', '', 'The grant or the scope is not valid.');
  }
  if (env.CLIENT_ID && form.get('client_id') !== env.CLIENT_ID) {
    throw new Refusal('AADSTS700016', '', `Application with identifier '${form.get('client_id')}' was not found in the directory.`);
  }
  const claims = await claimsOf(form.get('client_assertion'));
  return { claims, type: 'application/json', body: JSON.stringify({ token_type: 'Bearer', expires_in: life, access_token: accessToken(claims) }) };
}

async function sts(query) {
  const claims = await claimsOf(query.get('WebIdentityToken'));
  if (!query.get('RoleArn')?.startsWith('arn:aws:iam::')) throw new Refusal('', 'ValidationError', 'RoleArn is no role.');
  const expiration = new Date(Date.now() + life * 1000).toISOString();
  const random = (bytes) => randomBytes(bytes).toString('hex');
  const body = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA${random(8).toUpperCase()}</AccessKeyId><SecretAccessKey>${random(20)}</SecretAccessKey><SessionToken>${random(40)}</SessionToken><Expiration>${expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
  return { claims, type: 'text/xml', body };
}

const server = https.createServer({ cert: readFileSync(env.CERT), key: readFileSync(env.KEY) }, (request, response) => {
  let text = '';
  request.on('data', (part) => (text += part)).on('end', async () => {
    const url = new URL(request.url, 'https://localhost');
    const isSts = url.searchParams.get('Action') === 'AssumeRoleWithWebIdentity';
    const said = { at: new Date().toISOString(), path: url.pathname, exchange: isSts ? 'sts' : 'entra' };
    await new Promise((resolve) => setTimeout(resolve, Number(env.BODY_DELAY ?? 0)));
    try {
      const answer = isSts ? await sts(url.searchParams) : await entra(new URLSearchParams(text));
      response.writeHead(200, { 'content-type': answer.type }).end(answer.body);
      console.log(JSON.stringify({ ...said, code: 'ok', subject: answer.claims.sub, token: answer.claims.jti ?? null }));
    } catch (error) {
      const known = error instanceof Refusal;
      const [status, type, body] = isSts
        ? [400, 'text/xml', `<ErrorResponse><Error><Type>Sender</Type><Code>${error.sts}</Code><Message>${error.message}</Message></Error></ErrorResponse>`]
        : [401, 'application/json', JSON.stringify({ error: 'invalid_client', error_description: `${error.code}: ${error.message} Trace ID: 0\r\nTimestamp: 0` })];
      response.writeHead(known ? status : 500, { 'content-type': type }).end(known ? body : '');
      console.log(JSON.stringify({ ...said, code: known ? (isSts ? error.sts : error.code) : `broken: ${error.message}` }));
    }
  });
});
server.listen(Number(env.PORT ?? 0), env.HOST ?? '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
