import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KnownIdentity, ServerLimits, ServerTls } from '@dmoerm/rpc';

/** What kind of server to start. */
export interface EdgeOptions {
  /** `guarded`: with everything that packages/rpc does; `planted`: the same with a bug; `stock`: grpc-js as it comes. */
  readonly kind: 'guarded' | 'planted' | 'stock';
  readonly limits?: Partial<ServerLimits>;
  readonly tls?: ServerTls;
  readonly access?: readonly KnownIdentity[];
}

/** What the server says of itself. */
export interface EdgeState {
  /** Resident bytes after a garbage collection. */
  readonly rss: number;
  /** Calls that reached a handler. */
  readonly handled: number;
}

/** A server in a process of its own. */
export interface Edge extends AsyncDisposable {
  readonly address: string;
  readonly child: ChildProcess;
  state(): Promise<EdgeState>;
  /** Resident bytes as they are now, without asking the process. */
  rssNow(): number;
}

/** Starts one. */
export async function startEdge(options: EdgeOptions): Promise<Edge> {
  const child = fork(distOf('edge-server.js'), [JSON.stringify(options)], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const [{ address }] = (await once(child, 'message')) as [{ address: string }];
  return {
    address,
    child,
    state: async () => {
      child.send('state');
      const [state] = (await once(child, 'message')) as [EdgeState];
      return state;
    },
    rssNow: () => residentBytes(child.pid ?? 0),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** The compiled script of this folder, from the sources too, as tests run. */
export function distOf(script: string): string {
  return join(__dirname.replace(/\/src\//, '/dist/'), script);
}

/** Resident bytes of a process (Linux). */
export function residentBytes(pid: number): number {
  const [, kilobytes = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}
