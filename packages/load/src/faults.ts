import { invalidArgument } from '@dmoerm/core';
import type { TimedEvent } from './run-load';

const SIGNALS = { kill: 'SIGKILL', term: 'SIGTERM', stop: 'SIGSTOP', cont: 'SIGCONT' } as const;

/**
 * A fault as people write it: `2.5:stop:1234` freezes process 1234 after 2.5 seconds; `kill`, `term` and `cont` likewise.
 * A process that is gone by then is left alone.
 * @throws DmoermError INVALID_ARGUMENT, reason `BAD_FAULT`.
 */
export function parseFault(text: string): TimedEvent {
  const [, seconds, action, pid] = /^(\d+(?:\.\d+)?):(kill|term|stop|cont):([1-9]\d*)$/.exec(text) ?? [];
  if (seconds === undefined || action === undefined || pid === undefined)
    throw invalidArgument('fault', 'BAD_FAULT', `${text} is not SECONDS:kill|term|stop|cont:PID`);
  return {
    atMs: Number(seconds) * 1e3,
    run: () => {
      try {
        process.kill(Number(pid), SIGNALS[action as keyof typeof SIGNALS]);
      } catch {
        // It has ended by itself.
      }
    },
  };
}
