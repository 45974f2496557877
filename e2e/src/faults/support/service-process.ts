import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import type { Fixture } from './fixture';

const SERVICES = join(__dirname, '..', '..', '..', '..', 'services');
let started = 0;

/** A service in a process of its own. */
export interface ServiceProcess {
  readonly name: ServiceName;
  readonly child: ChildProcess;
  /** host:port; stays the same over restarts. */
  readonly address: string;
  /** The same service again, at the same address; the old process must have ended. */
  restart(): Promise<ServiceProcess>;
}

/** The services that can be started. */
export type ServiceName = 'router' | 'expert' | 'aggregator';

/** Puts a command line into another, such as a shell's that prepares its surroundings and then becomes it. */
export type Within = (command: readonly string[]) => readonly string[];

/** Starts a service; resolves when it is ready. @throws if it ends before, with the last line of its log. */
export async function startService(
  name: ServiceName,
  { bundle, folder }: Fixture,
  flags: readonly string[] = [],
  listen = '127.0.0.1:0',
  within: Within = (command) => command,
): Promise<ServiceProcess> {
  const readyFile = join(folder, `${name}-${++started}.json`);
  const logFile = `${readyFile}.log`;
  const log = openSync(logFile, 'w');
  const watcher = watch(folder);
  const common = ['--bundle', bundle, '--listen', listen, '--ready-file', readyFile, '--lame-duck-ms', '200'];
  const main = join(SERVICES, name, 'dist', 'main.js');
  const [command = '', ...args] = within([process.execPath, main, ...common, ...flags]);
  const child = spawn(command, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  const appears = async (): Promise<true> => {
    while (!existsSync(readyFile) || readFileSync(readyFile, 'utf8') === '') await once(watcher, 'change');
    return true;
  };
  const ready = await Promise.race([appears(), once(child, 'exit').then(() => false)]);
  watcher.close();
  if (!ready) throw new Error(`the ${name} did not start: ${readFileSync(logFile, 'utf8').slice(-500)}`);
  const { address } = JSON.parse(readFileSync(readyFile, 'utf8')) as { address: string };
  const restart = () => startService(name, { bundle, folder, items: '' }, flags, address, within);
  return { name, child, address, restart };
}

/** Sends a signal and waits for the end: exit status, or the signal that ended it. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | string | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
  }
  return child.exitCode ?? child.signalCode;
}
