import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';

const CLI = join(__dirname, '..', '..', 'apps', 'cli', 'bin', 'dmoerm.js');

/** A running `dmoerm serve`. */
export interface Served {
  readonly child: ChildProcess;
  /** host:port by service. */
  readonly addresses: Readonly<Record<'router' | 'expert' | 'aggregator', string>> & {
    /** If `--http` was among the flags. */
    readonly gateway?: string;
  };
  /** What it has written to standard error so far. */
  readonly log: () => string;
}

/** Starts the whole mesh as a user would, with processes of its own; resolves when it is ready. @throws if it ends before. */
export async function serve(
  bundle: string,
  folder: string,
  flags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const readyFile = join(folder, `ready-${Date.now()}.json`);
  const watcher = watch(folder);
  const http = flags.includes('--http') ? [] : ['--http', 'off'];
  const listen = ['--listen', '127.0.0.1:0', ...http];
  const args = ['serve', '--bundle', bundle, ...listen, '--ready-file', readyFile, ...flags];
  const { child, log } = run(args, env);
  const appears = async (): Promise<true> => {
    while (!existsSync(readyFile) || readFileSync(readyFile, 'utf8') === '') await once(watcher, 'change');
    return true;
  };
  const ready = await Promise.race([appears(), once(child, 'exit').then(() => false)]);
  watcher.close();
  if (!ready) throw new Error(`the mesh did not start: ${log()}`);
  return { child, addresses: JSON.parse(readFileSync(readyFile, 'utf8')) as Served['addresses'], log };
}

/** Runs the command line with settings on top of this process's environment; its standard error is kept. */
export function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { child: ChildProcess; log: () => string } {
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, log: () => text };
}

/** Exit status of a process that ends by itself or was asked to. */
export async function exitStatus(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  const [code] = (await once(child, 'exit')) as [number | null];
  return code;
}

/** Settings of services that nobody waits for: they end without a lame duck. */
export const QUICK_END: Readonly<Record<string, string>> = Object.fromEntries(
  ['ROUTER', 'EXPERT', 'AGGREGATOR', 'GATEWAY'].map((name) => [`DMOERM_${name}_LAME_DUCK_MS`, '0']),
);
