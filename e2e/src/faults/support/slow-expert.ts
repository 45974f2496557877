// An expert in a process of its own whose every answer takes a while: `node slow-expert.js drain|stock ADDRESS MILLISECONDS`.
// On SIGTERM it drains as the services do, or (stock) calls tryShutdown of grpc-js and nothing else. Prints its
// address, and a line for each call that it begins.
import { setTimeout as sleep } from 'node:timers/promises';
import { expertV1 } from '@dmoerm/protos';
import { DEFAULT_LIMITS, bindService, startServer } from '@dmoerm/rpc';
import { Server, ServerCredentials } from '@grpc/grpc-js';

const LAME_DUCK_MS = 200;
/** Longer than any call here. */
const GRACE_MS = 20_000;
const [, , kind, address = '', milliseconds] = process.argv;

async function answer(): Promise<expertV1.EvaluateResponse> {
  process.stdout.write('call\n');
  await sleep(Number(milliseconds));
  return expertV1.EvaluateResponse.create();
}

async function serveOurs(): Promise<void> {
  const server = await startServer({
    address,
    services: [bindService(expertV1.ExpertServiceService, { evaluate: answer })],
    healthServices: [],
    reflection: false,
    limits: DEFAULT_LIMITS,
    drain: { lameDuckMs: LAME_DUCK_MS, graceMs: GRACE_MS },
  });
  process.once('SIGTERM', () => void server.drain().then(() => process.exit(0)));
  process.stdout.write(`${server.address}\n`);
}

function serveStock(): void {
  const server = new Server();
  server.addService(expertV1.ExpertServiceService, {
    evaluate: (_: unknown, reply: (error: null, response: expertV1.EvaluateResponse) => void) =>
      void answer().then((response) => reply(null, response)),
  });
  process.once('SIGTERM', () => server.tryShutdown(() => process.exit(0)));
  server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.stdout.write(`127.0.0.1:${port}\n`);
  });
}

if (kind === 'stock') serveStock();
else void serveOurs();
