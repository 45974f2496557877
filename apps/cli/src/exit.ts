import { DmoermError } from '@dmoerm/core';

/** Exit statuses that scripts stand on. */
export const EXIT = { done: 0, itemsFailed: 1, wrongUse: 2, notReachable: 3 } as const;

/** Says what is wrong and sets the exit status. */
export function fail(error: unknown): void {
  const { code, reason, field, message } = DmoermError.from(error);
  process.stderr.write(
    `dmoerm: ${message}${field === null || message.includes(field) ? '' : ` (${field})`} [${reason}]\n`,
  );
  process.exitCode =
    code === 'UNAVAILABLE' || code === 'DEADLINE_EXCEEDED' ? EXIT.notReachable : EXIT.wrongUse;
}
