// Stands before a store in tests, and makes it slow or has it answer 503 for as long as it is told to. It is a process of
// its own, for a test that waits for kubectl hears nobody. It needs Node alone.
//
// Its settings are environment variables: HOST, where it listens, and TARGET, the store's http:// address. It finds a free
// port; `listening on <port>` is its first line. A line on standard input is how it is from then on: open, slow or refusing.
// Each request that it refuses is a line on standard output.
import http from 'node:http';
import { createInterface } from 'node:readline';
import { Transform, pipeline } from 'node:stream';

/** Bytes a second that a slow request or answer has. */
const SLOW = 1_000_000;
const BUSY = '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';
let how = 'open';
createInterface({ input: process.stdin }).on('line', (line) => (how = line));

function brake() {
  return new Transform({
    transform(part, _, next) {
      setTimeout(() => next(null, part), how === 'slow' ? (part.length / SLOW) * 1000 : 0);
    },
  });
}

const server = http.createServer((request, answer) => {
  if (how === 'refusing') {
    console.log(`refused ${request.method} ${request.url}`);
    request.resume();
    answer.writeHead(503, { 'content-type': 'application/xml' }).end(BUSY);
    return;
  }
  const { method, url, headers } = request;
  const onward = http.request(new URL(url, process.env.TARGET), { method, headers }, (from) => {
    answer.writeHead(from.statusCode, from.headers);
    pipeline(from, brake(), answer, () => {});
  });
  pipeline(request, brake(), onward, (error) => error && answer.destroy());
});
server.requestTimeout = 0;
server.listen(0, process.env.HOST, () => console.log(`listening on ${server.address().port}`));
