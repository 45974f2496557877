import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, watch } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../paths';

/** Of the log of a mesh that did not start: the service's own words and what became of it. */
const LAST_LINES = 5;
const CLI = join(ROOT, 'apps', 'cli', 'bin', 'dmoerm.js');

/** The services of a mesh. */
export type ServiceName = 'router' | 'expert' | 'aggregator';

/** A running `dmoerm serve`: router, expert and aggregator in processes of their own. Disposal drains and ends them. */
export interface Served extends AsyncDisposable {
  /** Of the router, host:port. */
  readonly address: string;
  /** Prometheus pages, host:port. */
  readonly metrics: Readonly<Record<ServiceName, string>>;
}

/**
 * Starts the mesh on free ports of the loopback device, as a user would; resolves when it is ready.
 * @throws if it ends before, with its last lines.
 */
export async function serve(bundle: string, env: NodeJS.ProcessEnv): Promise<Served> {
  const folder = await mkdtemp(join(tmpdir(), 'dmoerm-bench-mesh-'));
  const readyFile = join(folder, 'ready.json');
  const watcher = watch(folder);
  const args = ['serve', '--bundle', bundle, '--listen', '127.0.0.1:0', '--ready-file', readyFile];
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'ignore', 'pipe'], env });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-10_000)));
  const ended = once(child, 'exit');
  const appears = async (): Promise<true> => {
    while (!existsSync(readyFile) || readFileSync(readyFile, 'utf8') === '') await once(watcher, 'change');
    return true;
  };
  const ready = await Promise.race([appears(), ended.then(() => false)]);
  watcher.close();
  if (!ready) {
    await rm(folder, { recursive: true, force: true });
    throw new Error(`the mesh did not start: ${log.trim().split('\n').slice(-LAST_LINES).join('\n')}`);
  }
  const { router, metrics } = JSON.parse(readFileSync(readyFile, 'utf8')) as {
    router: string;
    metrics: Record<ServiceName, string>;
  };
  return {
    address: router,
    metrics,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
