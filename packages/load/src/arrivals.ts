import { createRandom } from '@dmoerm/core';

/** Work and when it is sent. */
export interface Arrival<T> {
  /** From the start of the run, milliseconds. */
  readonly atMs: number;
  readonly work: T;
}

/** When bursts come. */
export interface Schedule {
  /** Equal seeds give equal arrivals. */
  readonly seed: number;
  /** Bursts a second, on average; times between them are exponential, as those of callers who do not know each other. */
  readonly burstsPerS: number;
  readonly seconds: number;
}

/**
 * Draws all arrivals beforehand: when work is sent must not depend on how fast answers come, or a system that stalls is
 * asked less while it stalls and looks fast.
 * @param draw the works of one burst: they are sent at once.
 */
export function drawArrivals<T>(
  { seed, burstsPerS, seconds }: Schedule,
  draw: (random: () => number) => readonly T[],
): Arrival<T>[] {
  const random = createRandom(seed);
  const arrivals: Arrival<T>[] = [];
  const gapMs = (): number => (-Math.log(1 - random()) / burstsPerS) * 1e3;
  for (let atMs = gapMs(); atMs < seconds * 1e3; atMs += gapMs())
    for (const work of draw(random)) arrivals.push({ atMs, work });
  return arrivals;
}
