import { expertV1 } from '@dmoerm/protos';
import { Client, credentials } from '@grpc/grpc-js';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { channelOptions } from './channel';
import { Loopback, request } from './spec-support/loopback';

const loopback = new Loopback();
afterEach(() => loopback.close());

const CALLS = 32;
/** More than grpc-js's own retry buffer holds; ours must keep it. */
const BIG = request('x'.repeat(2 << 20));

interface Replica {
  readonly process: ChildProcess;
  readonly port: string;
  /** Calls that it has taken. */
  calls(): number;
  /** Resolves when it takes its next call. */
  nextCall(): Promise<unknown>;
}

async function startReplica(): Promise<Replica> {
  const child = spawn(process.execPath, [join(__dirname, 'spec-support', 'replica.js')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  loopback.defer(async () => {
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL'))
      await once(child, 'exit');
  });
  const lines = createInterface(child.stdout);
  const [port] = (await once(lines, 'line')) as [string];
  let calls = 0;
  lines.on('line', () => (calls += 1));
  return { process: child, port, calls: () => calls, nextCall: () => once(lines, 'line') };
}

/** Starts calls over two replicas, kills one of them while it works, and counts the calls that failed. */
async function lostCalls(call: (target: string) => () => Promise<unknown>): Promise<number> {
  const [victim, other] = [await startReplica(), await startReplica()];
  const make = call(`ipv4:127.0.0.1:${victim.port},127.0.0.1:${other.port}`);
  // Until both are connected, all calls go to one of them.
  while (victim.calls() === 0 || other.calls() === 0) await make();
  const taken = victim.nextCall();
  const outcomes = Promise.allSettled(Array.from({ length: CALLS }, make));
  await taken;
  victim.process.kill('SIGKILL');
  return (await outcomes).filter(({ status }) => status === 'rejected').length;
}

describe('calls to a replica that is killed', () => {
  it('are all answered by the other one', async () => {
    const lost = await lostCalls((target) => {
      const client = loopback.expert(target);
      return () => client.call.evaluate(request());
    });
    expect(lost).toBe(0);
  });

  it('are answered by the other one when they are big', async () => {
    const lost = await lostCalls((target) => {
      const client = loopback.expert(target);
      return () => client.call.evaluate(BIG);
    });
    expect(lost).toBe(0);
  });

  const policy = channelOptions({ target: 'x' })['grpc.service_config'] ?? '';
  const noPolicy = JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] });

  it.each([
    ['would be lost without our retry policy', noPolicy, request()],
    ['would be lost when they are big without our retry buffers', policy, BIG],
  ])('%s', async (_, config, message) => {
    const { path, requestSerialize, responseDeserialize } = expertV1.ExpertServiceService.evaluate;
    const lost = await lostCalls((target) => {
      const client = new Client(target, credentials.createInsecure(), { 'grpc.service_config': config });
      loopback.defer(() => client.close());
      return () =>
        new Promise<void>((resolve, reject) =>
          client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, (error) =>
            error ? reject(error) : resolve(),
          ),
        );
    });
    expect(lost).toBeGreaterThan(0);
  });
});

describe('channelOptions', () => {
  it('keep a message of the largest size in the retry buffers', () => {
    const options = channelOptions({ target: 'x', maxMessageBytes: 300 << 20 });
    expect(options['grpc.per_rpc_retry_buffer_size']).toBe(300 << 20);
    expect(options['grpc.retry_buffer_size']).toBe(300 << 20);
    const defaults = channelOptions({ target: 'x' });
    expect(defaults['grpc.per_rpc_retry_buffer_size']).toBe(8 << 20);
    expect(defaults['grpc.retry_buffer_size']).toBe(256 << 20);
  });
});
