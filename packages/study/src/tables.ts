import type { Interval } from './statistics/resample';

/** A table. */
export function markdown(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/** `.31 [.20, .42]` */
export function withInterval({ value, interval: [low, high] }: Interval): string {
  return `${number(value)} [${number(low)}, ${number(high)}]`;
}

/** Two decimals, no 0 before the point. */
export function number(value: number): string {
  return value.toFixed(2).replace(/^(-?)0\./, '$1.');
}

/** Numbers short enough to be read; what is not finite is null. */
export function rounded(_: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isInteger(value)) return value;
  return Number.isFinite(value) ? Number(value.toPrecision(5)) : null;
}
