import { DmoermError } from '@dmoerm/core';

/** What goes out: JSON under a status. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly text: string;
}

/**
 * A good answer. Its every number is finite: `JSON.stringify` would write NaN as null, which a trainer may read as 0.
 * @throws DmoermError INTERNAL, reason `NON_FINITE`.
 */
export function ok(body: unknown, headers: Answer['headers'] = {}): Answer {
  const text = JSON.stringify(body, (key, one: unknown) => {
    if (typeof one !== 'number' || Number.isFinite(one)) return one;
    throw new DmoermError({
      code: 'INTERNAL',
      reason: 'NON_FINITE',
      message: `${key === '' ? 'the answer' : key} is not finite; there is no reward`,
    });
  });
  return { status: 200, headers, text };
}
