import http2 from 'node:http2';
import { readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Loaded into a service's process before everything else (`--require`). On SIGUSR2 it collects garbage and writes what
 * memory the process holds; with a leak planted, every HTTP/2 stream leaves some bytes behind.
 */
const folder = process.env['PROBE_FOLDER'] ?? '.';
const leakBytes = Number(process.env['PROBE_LEAK_BYTES'] ?? 0);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

process.on('SIGUSR2', () => {
  // Twice: what the first frees may have held more, such as the buffers of finalised objects.
  collectGarbage();
  setImmediate(() => {
    collectGarbage();
    const { rss, heapUsed, external } = process.memoryUsage();
    const file = join(folder, `${process.pid}.json`);
    const files = readdirSync('/proc/self/fd').length;
    writeFileSync(`${file}.new`, JSON.stringify({ rss, live: heapUsed + external, files }));
    renameSync(`${file}.new`, file);
  });
});

if (leakBytes > 0) {
  // Bytes of their own: strings would share what is equal in them.
  const leaked: Uint8Array[] = [];
  const { createServer } = http2;
  http2.createServer = ((...args: Parameters<typeof createServer>) => {
    const server = createServer(...args);
    server.on('stream', () => leaked.push(new Uint8Array(leakBytes).fill(1)));
    return server;
  }) as typeof createServer;
}
