import { aggregatorV1 } from '@dmoerm/protos';
import { connect } from '@dmoerm/rpc';
import { createSpecBundle } from '@dmoerm/testing';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const MAIN = join(__dirname, '..', 'dist', 'main.js');

/** The process's own environment must not decide. */
const env = { PATH: process.env['PATH'] };
const run = (...argv: string[]) => spawnSync(process.execPath, [MAIN, ...argv], { encoding: 'utf8', env });

describe('the process of a service', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dmoerm-main-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  it('writes its ready file when it answers, drains on SIGTERM and exits with 0', async () => {
    const cacheDir = join(directory, 'cache');
    const bundle = await createSpecBundle(join(directory, 'bundle'), cacheDir);
    const readyFile = join(directory, 'ready.json');
    const argv = [
      '--bundle',
      bundle.directory,
      '--cache-dir',
      cacheDir,
      '--ready-file',
      readyFile,
      '--lame-duck-ms',
      '0',
    ];
    const child = spawn(process.execPath, [MAIN, ...argv], { stdio: 'ignore', env });
    const exit = once(child, 'exit');
    const { address, metrics } = await readWhenThere(readyFile, child);

    const client = connect(aggregatorV1.AggregatorServiceService, { target: address });
    const request = aggregatorV1.AggregateRequest.fromPartial({ task: 'maths' });
    await expect(client.call.aggregate(request)).rejects.toMatchObject({ reason: 'UNKNOWN_TASK' });
    client.close();
    const page = await (await fetch(`http://${metrics}/metrics`)).text();
    expect(page).toContain(`dmoerm_revision_info{revision="${bundle.revision}",service="aggregator"} 1`);

    child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  }, 30_000);

  it('prints its settings with --help', () => {
    const { status, stdout } = run('--help');
    expect(status).toBe(0);
    for (const flag of ['--bundle', '--listen', '--ready-file', 'DMOERM_AGGREGATOR_LISTEN'])
      expect(stdout).toContain(flag);
  });

  it.each([
    ['an unknown flag', ['--colour', 'red'], 2, '--colour'],
    ['a value that does not fit', ['--listen', 'here'], 2, '--listen'],
    ['a bundle that is not there', ['--bundle', 'no-such-bundle'], 2, 'no-such-bundle'],
  ])('ends with a message for %s', (_, argv, expected, named) => {
    const { status, stderr } = run(...argv);
    expect({ status, named: stderr.includes(named) }).toEqual({ status: expected, named: true });
  });
});

async function readWhenThere(path: string, child: { readonly exitCode: number | null }) {
  for (;;) {
    const text = await readFile(path, 'utf8').catch(() => null);
    if (text !== null) return JSON.parse(text) as { readonly address: string; readonly metrics: string };
    if (child.exitCode !== null) throw new Error(`the service ended with ${child.exitCode}`);
    await sleep(10);
  }
}
