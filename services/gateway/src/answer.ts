import { DmoermError } from '@dmoerm/core';

/** What goes out: JSON under a status. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly text: string;
}

/** A good answer. */
export function ok(text: string, headers: Answer['headers'] = {}): Answer {
  return { status: 200, headers, text };
}

/**
 * JSON of a value whose every number is finite: `JSON.stringify` would write NaN as null, which a trainer may read as 0.
 * @throws DmoermError INTERNAL, reason `NON_FINITE`.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (key, one: unknown) => {
    requireFinite(key, one);
    return one;
  });
}

/**
 * The same with every number as a fraction, `0.0`, for trainers: Python reads `0` as an integer, of which torch makes a tensor of
 * another type than of the rewards beside it.
 * @throws DmoermError INTERNAL, reason `NON_FINITE`.
 */
export function toFloatJson(value: unknown, key = ''): string {
  requireFinite(key, value);
  if (typeof value === 'number') return toFloat(value);
  if (Array.isArray(value)) return `[${value.map((one) => toFloatJson(one, key)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(
    ([name, one]) => `${JSON.stringify(name)}:${toFloatJson(one, name)}`,
  );
  return `{${fields.join(',')}}`;
}

/** The shortest text that reads back to the same double, with a point or an exponent. */
function toFloat(value: number): string {
  const text = Object.is(value, -0) ? '-0' : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function requireFinite(key: string, value: unknown): void {
  if (typeof value !== 'number' || Number.isFinite(value)) return;
  throw new DmoermError({
    code: 'INTERNAL',
    reason: 'NON_FINITE',
    message: `${key === '' ? 'the answer' : key} is not finite; there is no reward`,
  });
}
