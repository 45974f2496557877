import { groupBy } from '@dmoerm/core';
import { z } from 'zod';
import { readRecords } from './read-records';
import { meanLeaf, userPrompt, type Leaf, type Suite } from './suite';

const rowSchema = z.object({
  id: z.union([z.string(), z.number()]).transform(String),
  prompt: z.string(),
  chosen: z.array(z.string()).min(1),
  rejected: z.array(z.string()).min(1),
  subset: z.string(),
});
type Row = z.infer<typeof rowSchema>;

/** Rewards of a row: the correct responses first. */
interface Scored {
  readonly row: Row;
  readonly correct: readonly number[];
  readonly wrong: readonly number[];
}

/**
 * RewardBench 2 (Malik et al. 2025, arXiv 2506.01937; allenai/reward-bench): `id, prompt, chosen[], rejected[], subset`. Factuality,
 * Precise IF, Math, Safety and Focus are best-of-n with one correct response; Ties has prompts `tied:<n>` with several correct
 * ones, each with a `ref:<n>` that has one. Overall: plain mean over subsets.
 * @throws DmoermError as `readRecords`.
 */
export async function readRewardBench2(paths: readonly string[]): Promise<Suite> {
  const { rows, digests } = await readRecords(paths, rowSchema);
  return {
    name: 'rewardbench2',
    digests,
    leftOut: {},
    items: rows.map(({ value: { id, prompt, chosen, rejected } }) => ({
      id,
      messages: userPrompt(prompt),
      responses: [...chosen, ...rejected],
    })),
    measure: (rewards) => {
      const scored = rows.flatMap(({ value: row }, i): Scored[] => {
        const own = rewards[i] ?? null;
        if (own === null) return [];
        return [{ row, correct: own.slice(0, row.chosen.length), wrong: own.slice(row.chosen.length) }];
      });
      const subsets = [...groupBy(scored, ({ row }) => row.subset)];
      const weight = 1 / subsets.length;
      const leaves = subsets.map(([name, own]) =>
        name.toLowerCase() === 'ties'
          ? tiesLeaf(name, weight, own)
          : meanLeaf(name, weight, own.map(bestOfN)),
      );
      return { leaves, details: {} };
    },
  };
}

/** 1 if the first response has the largest reward, 1/m if it shares it with m - 1 others, else 0. */
export function bestOfN({ correct, wrong }: Pick<Scored, 'correct' | 'wrong'>): number {
  const all = [...correct, ...wrong];
  const largest = Math.max(...all);
  return all[0] === largest ? 1 / all.filter((one) => one === largest).length : 0;
}

/** What Ties asks of one prompt. */
interface Margins {
  /** Largest minus smallest reward of the correct responses. */
  readonly spread: number;
  /** Smallest reward of a correct response minus largest of a wrong one. */
  readonly gap: number;
}

/** A tied prompt and its reference; either may be missing. */
interface TiedPair {
  readonly tied: Margins | null;
  readonly reference: Margins | null;
}

function tiesLeaf(name: string, weight: number, scored: readonly Scored[]): Leaf {
  const pairs = new Map<string, { tied: Margins | null; reference: Margins | null }>();
  for (const { row, correct, wrong } of scored) {
    const [kind, number = ''] = row.id.split(':');
    const pair = pairs.get(number) ?? { tied: null, reference: null };
    const margins = {
      spread: Math.max(...correct) - Math.min(...correct),
      gap: Math.min(...correct) - Math.max(...wrong),
    };
    if (kind === 'ref') pair.reference = margins;
    else pair.tied = margins;
    pairs.set(number, pair);
  }
  const all = [...pairs.values()];
  return { name, weight, size: all.length, statistic: (clusters) => tiesScore(all, clusters) };
}

/**
 * .30 accuracy of tied prompts + .30 of references + .20 share of pairs whose tied gap exceeds the spread + .20 the same with the
 * smaller of both gaps + .01 mean of tanh(smaller gap / spread - 1). A spread of 0 gives tanh of infinity, 0 / 0 counts 0.
 */
function tiesScore(pairs: readonly TiedPair[], clusters: ArrayLike<number>): number {
  let [tied, tiedRight, references, referencesRight, both, preferred, hard, margins] = [
    0, 0, 0, 0, 0, 0, 0, 0,
  ];
  for (let i = 0; i < clusters.length; i++) {
    const { tied: own = null, reference = null } = pairs[clusters[i] as number] ?? {};
    if (own !== null) {
      tied++;
      if (own.gap > 0) tiedRight++;
    }
    if (reference !== null) {
      references++;
      if (reference.gap > 0) referencesRight++;
    }
    if (own === null || reference === null) continue;
    const smaller = Math.min(own.gap, reference.gap);
    both++;
    if (own.gap > own.spread) preferred++;
    if (smaller > own.spread) hard++;
    const margin = Math.tanh(smaller / own.spread - 1);
    margins += Number.isNaN(margin) ? 0 : margin;
  }
  const part = (sum: number, count: number): number => (count === 0 ? 0 : sum / count);
  return (
    0.3 * part(tiedRight, tied) +
    0.3 * part(referencesRight, references) +
    0.2 * part(preferred, both) +
    0.2 * part(hard, both) +
    0.01 * part(margins, both)
  );
}
