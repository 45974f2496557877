import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { once } from 'node:events';
import { end } from '../faults/support/service-process';
import { endWithUs } from './no-orphans';
import { until } from './until';

const TOOLS = resolve(__dirname, '..', '..', '..', '.tools', 'bin');
const READY_MS = 60_000;

/** Path of a tool that was built for this, or the name of one on the path; null: it is not here. */
export function findTool(name: string): string | null {
  const built = join(TOOLS, name);
  if (existsSync(built)) return built;
  return spawnSync(name, ['--version']).status === 0 ? name : null;
}

/** A port that nobody has right now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Whether something answers there with other than an error of its own. */
export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url).catch(() => null);
  return response !== null && response.status < 500;
}

/** Whether something accepts connections there. */
export async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    return await once(socket, 'connect').then(
      () => true,
      () => false,
    );
  } finally {
    socket.destroy();
  }
}

/** How to start something that is no service of ours. */
export interface BackendOptions {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Gets its log. */
  readonly folder: string;
  /** Whether it can be used yet. */
  readonly isReady: () => Promise<boolean>;
}

/** Prometheus, Jaeger or the collector, as a process of its own. */
export class Backend implements AsyncDisposable {
  private constructor(
    private readonly options: BackendOptions,
    private child: ChildProcess,
  ) {}

  /** Starts it; resolves when it answers. @throws Error with its last words. */
  static async start(options: BackendOptions): Promise<Backend> {
    const backend = new Backend(options, launch(options));
    await backend.ready();
    return backend;
  }

  /** Ends it without a word. */
  async kill(): Promise<void> {
    await end(this.child, 'SIGKILL');
  }

  /** The same again, after it has ended. */
  async restart(): Promise<void> {
    this.child = launch(this.options);
    await this.ready();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  private async ready(): Promise<void> {
    const { name, isReady, folder } = this.options;
    const state = await until(async () => {
      if (this.child.exitCode !== null) return 'ended';
      return (await isReady()) ? 'ready' : null;
    }, READY_MS);
    if (state === 'ready') return;
    await this.kill();
    throw new Error(`${name} does not answer: ${readFileSync(logFile(folder, name), 'utf8').slice(-800)}`);
  }
}

function launch({ name, command: [program = '', ...args], env = {}, folder }: BackendOptions): ChildProcess {
  const log = openSync(logFile(folder, name), 'a');
  const child = spawn(program, args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...env },
    cwd: folder,
  });
  closeSync(log);
  endWithUs(child);
  return child;
}

function logFile(folder: string, name: string): string {
  return join(folder, `${name}.log`);
}
