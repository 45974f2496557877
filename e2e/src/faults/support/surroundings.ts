import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Within } from './service-process';

/** Whether this process may change what others of its own see mounted; needs root. */
export function mayMount(): boolean {
  return spawnSync('unshare', ['--mount', 'true']).status === 0;
}

/** A host name whose addresses a process sees, and which can change. */
export interface Name {
  /** For the target of a service. */
  readonly host: string;
  /** Starts a process that sees it. */
  readonly within: Within;
  /** What it stands for from now on. */
  point(address: string): void;
}

/** Makes `localhost` a name that can change, for processes in a mount namespace of their own. */
export function changingName(folder: string): Name {
  const hosts = join(folder, 'hosts');
  writeFileSync(hosts, '');
  return {
    host: 'localhost',
    within: (command) => inNamespace(`mount --bind ${hosts} /etc/hosts`, command),
    // In place: what is mounted is this file and no other of its name.
    point: (address) => writeFileSync(hosts, `${address} localhost\n`),
  };
}

/** Runs a process whose log and cache lie on a disk of its own that has no byte left. */
export function onFullDisk(folder: string): { readonly within: Within; readonly cache: string } {
  const disk = join(folder, 'full');
  mkdirSync(disk, { recursive: true });
  const fill = `mount -t tmpfs -o size=64k tmpfs ${disk}; dd if=/dev/zero of=${disk}/ballast bs=4k 2>/dev/null`;
  return { within: (command) => inNamespace(`${fill}; exec 2>>${disk}/log`, command), cache: disk };
}

function inNamespace(prepare: string, command: readonly string[]): readonly string[] {
  return ['unshare', '--mount', 'sh', '-c', `${prepare}; exec "$@"`, 'sh', ...command];
}
