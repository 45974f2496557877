import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, watch } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DmoermError } from '@dmoerm/core';

/** The services of a mesh. */
export type ServiceName = 'router' | 'expert' | 'aggregator' | 'gateway';

/** Where a service answers. */
export interface ServiceAddress {
  readonly address: string;
  readonly metrics: string | null;
}

/** A mesh of child processes on this machine. */
export interface Mesh {
  readonly services: Readonly<Record<Exclude<ServiceName, 'gateway'>, ServiceAddress>>;
  /** HTTP in front of the router, if it was asked for. */
  readonly gateway: ServiceAddress | null;
  /** Resolves when a service ends without being asked, with what to tell people. */
  readonly died: Promise<DmoermError>;
  /** SIGTERM to the gateway and the router, then to the others; resolves when all have drained and ended. */
  stop(): Promise<void>;
}

/** How to start one. */
export interface MeshOptions {
  readonly bundle: string;
  /** Address of the router. */
  readonly listen: string;
  /** Address of the HTTP gateway; null: none. */
  readonly http: string | null;
  /** Further flags of one service, e.g. {expert: ['--threads', '1']}. */
  readonly flags?: Partial<Record<ServiceName, readonly string[]>>;
  /** `inherit`: the services log to standard error; `quiet`: only a service that dies shows its last words. */
  readonly log: 'inherit' | 'quiet';
}

const resolver = createRequire(__filename);

/** The script that runs a service as a process of its own. */
export function serviceScript(name: ServiceName): string {
  return join(dirname(resolver.resolve(`@dmoerm/service-${name}`)), 'main.js');
}

/**
 * Starts expert and aggregator, then the router on them, then the gateway on that; resolves when all answer health checks.
 * @throws DmoermError UNAVAILABLE, reason `SERVICE_DIED`, naming the service; what was started is stopped again.
 */
export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const folder = await mkdtemp(join(tmpdir(), 'dmoerm-mesh-'));
  const children = new Map<ServiceName, ChildProcess>();
  let stopping = false;
  let tellDeath: (error: DmoermError) => void = () => undefined;
  const died = new Promise<DmoermError>((resolve) => (tellDeath = resolve));

  const start = async (
    name: ServiceName,
    listen: string,
    peers: readonly string[] = [],
  ): Promise<ServiceAddress> => {
    const readyFile = join(folder, `${name}.json`);
    const flags = [
      ...['--listen', listen, '--ready-file', readyFile],
      ...(name === 'gateway' ? [] : ['--bundle', options.bundle]),
      ...peers,
      ...(options.flags?.[name] ?? []),
    ];
    const logFile = join(folder, `${name}.log`);
    // The log belongs on standard error: standard output is for results.
    const output = options.log === 'inherit' ? 2 : openSync(logFile, 'w');
    const child = spawn(process.execPath, [serviceScript(name), ...flags], {
      stdio: ['ignore', output, output],
    });
    if (output !== 2) closeSync(output);
    children.set(name, child);
    child.once('exit', (code, signal) => {
      if (!stopping) tellDeath(serviceDied(name, code, signal, output === 2 ? '' : lastWords(logFile)));
    });
    await untilReady(folder, readyFile, died);
    return JSON.parse(readFileSync(readyFile, 'utf8')) as ServiceAddress;
  };

  const stop = async (): Promise<void> => {
    stopping = true;
    // From the front: while a service drains, its calls still find those behind it.
    for (const name of ['gateway', 'router', 'expert', 'aggregator'] as const) {
      const child = children.get(name);
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    }
    await rm(folder, { recursive: true, force: true });
  };

  try {
    const [expert, aggregator] = await Promise.all([
      start('expert', '127.0.0.1:0'),
      start('aggregator', '127.0.0.1:0'),
    ]);
    const peers = ['--expert', expert.address, '--aggregator', aggregator.address];
    const router = await start('router', options.listen, peers);
    const gateway =
      options.http === null
        ? null
        : await start('gateway', options.http, ['--router', reachable(router.address)]);
    return { services: { router, expert, aggregator }, gateway, died, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** An address of all interfaces, as this machine reaches it. */
function reachable(address: string): string {
  return address.replace(/^0\.0\.0\.0:/, '127.0.0.1:').replace(/^\[?::\]?:/, '[::1]:');
}

/** Resolves when `file` appears in `folder`. @throws DmoermError if a service dies first. */
async function untilReady(folder: string, file: string, died: Promise<DmoermError>): Promise<void> {
  const over = new AbortController();
  const watcher = watch(folder, { signal: over.signal });
  const appears = async (): Promise<void> => {
    while (!existsSync(file)) await once(watcher, 'change');
  };
  try {
    const error = await Promise.race([appears(), died]);
    if (error !== undefined) throw error;
  } finally {
    over.abort();
  }
}

function serviceDied(
  name: ServiceName,
  code: number | null,
  signal: string | null,
  words: string,
): DmoermError {
  return new DmoermError({
    code: 'UNAVAILABLE',
    reason: 'SERVICE_DIED',
    message: `the ${name} ended ${signal === null ? `with status ${code}` : `by ${signal}`}${words === '' ? '; its last words are above' : `: ${words}`}`,
  });
}

/** The line for people that a failing service prints last. */
function lastWords(logFile: string): string {
  return readFileSync(logFile, 'utf8').trim().split('\n').at(-1) ?? '';
}
