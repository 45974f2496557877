import type { Contestant } from './turns';

/** Work that consists of equal parts, so that some of them tell how long all take. */
export interface Divisible {
  readonly name: string;
  /** What a part is, plural, e.g. `experts`. */
  readonly unit: string;
  readonly parts: number;
  readonly tokensPerPart: number;
  /** Seconds per token of a small piece; also warms up. */
  warmUp(): Promise<number>;
  /** Seconds for the first `count` parts. */
  run(count: number): Promise<number>;
}

/** A contestant that measures as many parts as `seconds` allow, at least one. */
export interface Budgeted {
  readonly contestant: Contestant;
  /** Says so if these are not all. */
  readonly note?: string;
}

/** Warms up, then decides how many parts are measured. The contestant's seconds are always those of all parts. */
export async function budget(work: Divisible, seconds: number): Promise<Budgeted> {
  const { name, unit, parts, tokensPerPart } = work;
  const secondsPerPart = (await work.warmUp()) * tokensPerPart;
  const count = Math.min(parts, Math.max(1, Math.floor(seconds / secondsPerPart)));
  const contestant = { name, run: async () => [((await work.run(count)) * parts) / count] };
  if (count === parts) return { contestant };
  return { contestant, note: `${name}: ${count} of ${parts} ${unit} measured and scaled` };
}
