import type { ChildProcess } from 'node:child_process';

const children = new Set<ChildProcess>();

/** Sees to it that a process does not outlive this one, however this one ends, kill -9 aside. */
export function endWithUs(child: ChildProcess): void {
  if (children.size === 0) {
    process.once('exit', () => children.forEach((one) => one.kill('SIGKILL')));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  }
  children.add(child);
}
