import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { programPath } from './tools';
import type { Program } from './tools';

const LOOK_MS = 100;
/** From SIGTERM to SIGKILL. */
const GRACE_MS = 20_000;

/**
 * Programs that run on beside this process, each with a log in a folder. Their process ids stand in a file there, in the order of their
 * start, so that a later process can end them too; a folder runs one set of them.
 */
export class Processes {
  private readonly file: string;

  constructor(private readonly folder: string) {
    this.file = join(folder, 'pids.json');
  }

  /** Starts a program. */
  start(name: Program, args: readonly string[]): void {
    const log = openSync(join(this.folder, `${name}.log`), 'w');
    // Its own group: Ctrl-C in the terminal must not take etcd away from an API server that still writes.
    const child = spawn(programPath(name), args, { stdio: ['ignore', log, log], detached: true });
    child.unref();
    if (child.pid !== undefined)
      writeFileSync(this.file, JSON.stringify([...this.read(), [name, child.pid]]));
  }

  /** The programs that do not run any more, though nobody has stopped them. */
  dead(): Program[] {
    return this.read().flatMap(([name, pid]) => (isAlive(pid, name) ? [] : [name]));
  }

  /** Last lines of a program's log. */
  lastWords(name: Program): string {
    return readFileSync(join(this.folder, `${name}.log`), 'utf8')
      .trim()
      .split('\n')
      .slice(-5)
      .join('\n');
  }

  /** Ends them one after another, the last to start first. */
  async stop(): Promise<void> {
    for (const [name, pid] of this.read().reverse()) {
      if (!isAlive(pid, name)) continue;
      process.kill(pid, 'SIGTERM');
      const deadline = Date.now() + GRACE_MS;
      while (isAlive(pid, name) && Date.now() < deadline) await sleep(LOOK_MS);
      if (isAlive(pid, name)) process.kill(pid, 'SIGKILL');
    }
    rmSync(this.file, { force: true });
  }

  private read(): [Program, number][] {
    return existsSync(this.file) ? (JSON.parse(readFileSync(this.file, 'utf8')) as [Program, number][]) : [];
  }
}

/** Whether a process still runs that program: its id may be somebody else's by now. */
function isAlive(pid: number, name: Program): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(programPath(name));
  } catch {
    return false;
  }
}
