// A proxy in front of a store that slows requests down or answers 503. It is a process of its own, because a test that waits
// for kubectl blocks its event loop. It needs only Node.
//
// Environment variables: HOST, the address to listen on, and TARGET, the store's http:// address. It chooses a free port and
// prints `listening on <port>` first. Each line on standard input sets the mode: open, slow or refusing. Each refused request
// is a line on standard output.
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
