import { createRandom } from '@dmoerm/core';
import type { BootstrapOptions } from './bootstrap';
import type { Panel } from './panel';

/** Up to this many prompts that differ all sign patterns are counted instead of sampled: 2^12 of them. */
const EXACT_PROMPTS = 12;
/** Sums of the same terms in another order differ by rounding; a pattern that ties with what was seen counts. */
const ROUNDING = 1e-12;

/** p of no difference, over all categories and in each. */
export interface SignFlip {
  readonly overall: number;
  /** In the order of the panel's categories. */
  readonly byCategory: readonly number[];
}

/**
 * Two-sided sign-flip (paired permutation) test by prompt: were the arms alike, each prompt's difference could as well have the other
 * sign (Dror et al. 2018, section 3.2). The statistic is the mean within categories, then over them.
 * @param differences per prompt of the panel, [P].
 */
export function signFlip(panel: Panel, differences: ArrayLike<number>, options: BootstrapOptions): SignFlip {
  const shares = panel.members.map((own) =>
    Float64Array.from(own, (prompt) => (differences[prompt] ?? NaN) / own.length),
  );
  return {
    overall: signFlipP(
      Float64Array.from(
        shares.flatMap((own) => [...own]),
        (x) => x / shares.length,
      ),
      options,
    ),
    byCategory: shares.map((own) => signFlipP(own, options)),
  };
}

/** p of |sum| of terms whose signs are arbitrary; 1 if all are 0. Sampled p count what was seen as one of the patterns. */
export function signFlipP(terms: ArrayLike<number>, { draws, seed }: BootstrapOptions): number {
  const own = Float64Array.from(Array.from(terms).filter((term) => term !== 0));
  const seen = Math.abs(own.reduce((a, b) => a + b, 0)) - ROUNDING;
  if (own.length <= EXACT_PROMPTS) {
    let extreme = 0;
    for (let pattern = 0; pattern < 2 ** own.length; pattern++) {
      let sum = 0;
      for (let i = 0; i < own.length; i++)
        sum += (pattern >> i) & 1 ? -(own[i] as number) : (own[i] as number);
      if (Math.abs(sum) >= seen) extreme++;
    }
    return extreme / 2 ** own.length;
  }
  const random = createRandom(seed);
  let extreme = 0;
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0;
    let bits = 0;
    for (let i = 0; i < own.length; i++) {
      if (i % 32 === 0) bits = (random() * 2 ** 32) | 0;
      sum += bits & 1 ? -(own[i] as number) : (own[i] as number);
      bits >>>= 1;
    }
    if (sum >= seen || -sum >= seen) extreme++;
  }
  return (1 + extreme) / (1 + draws);
}
