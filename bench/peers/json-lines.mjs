// The peers' side of the protocol: requests and answers are JSON objects, one a line, on standard input and output.
import { createInterface } from 'node:readline';

/** Greets, then answers each request `{op, ...arguments}` until standard input ends. */
export async function serve(version, operations) {
  say({ version });
  for await (const line of createInterface({ input: process.stdin })) {
    const { op, ...request } = JSON.parse(line);
    try {
      say(await operations[op](request));
    } catch (error) {
      say({ error: String(error?.message ?? error) });
    }
  }
  process.exit(0);
}

/** Seconds that some work takes. */
export async function timed(work) {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1e3;
}

function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
