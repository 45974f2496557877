import type { LearningBatch, Trainer } from '@dmoerm/engine';
import { softplus } from '@dmoerm/evaluation';
import { chooseHead, fitPairHead, headScore, won, type EmbeddedPair, type ValueHead } from '../head';
import { mergeGroups } from './batch';
import { splitRows } from './chunks';
import type { EncodedGroup } from './encode';
import type { Learner } from './learn';
import type { ValueCache } from './value-cache';

/** Heads to begin with, and how often they are right on validation. */
export interface ProbeHead {
  readonly head: ValueHead;
  readonly accuracy: number;
}

/** Where the embeddings come from. */
export interface ProbeOptions {
  readonly trainer: Trainer;
  readonly learners: readonly Learner[];
  readonly train: readonly EncodedGroup[];
  readonly valid: readonly EncodedGroup[];
  /** Experts read rows of their own (readout); else all have the base's embeddings, and one pass serves all. */
  readonly ownRows: boolean;
  /** States below the first adapted layer, kept for training; null where the plan has none. */
  readonly trunk: ValueCache | null;
  readonly maxRows: number;
  readonly onProgress?: (rows: number, allRows: number) => void;
}

/**
 * The best linear head on what the experts see before their adapters have learned anything: training begins where a probe
 * ends (Kumar et al., arXiv 2202.10054), and a small step of the adapter is not lost on a random head.
 */
export async function fitProbeHeads(options: ProbeOptions): Promise<ProbeHead[]> {
  const { trainer, learners, train, valid, ownRows, trunk, maxRows } = options;
  const experts = ownRows ? learners.map((_, i) => i) : [0];
  const pairs = learners.map(() => ({ train: [] as EmbeddedPair[], valid: [] as EmbeddedPair[] }));
  const allRows = [...train, ...valid].reduce((sum, { rows }) => sum + rows, 0);
  let rows = 0;
  for (const [split, groups] of [
    ['train', train],
    ['valid', valid],
  ] as const)
    for (const part of splitRows(groups, maxRows)) {
      const own = await mergeGroups(part, trainer, trunk);
      const batches = experts.map((expert): LearningBatch => ({ expert, ...own, pairs: [] }));
      const results = await trainer.score(batches);
      learners.forEach(({ index }, i) => {
        const embeddings = results[ownRows ? i : 0]?.embeddings ?? new Float32Array(0);
        pairs[i]?.[split].push(...embeddedPairs(part, index, embeddings));
      });
      rows += part.reduce((sum, group) => sum + group.rows, 0);
      options.onProgress?.(rows, allRows);
    }
  return pairs.map(({ train: own, valid: judged }) => {
    const { head } = chooseHead(
      (ridge) => fitPairHead(own, ridge),
      (one) => judged.reduce((sum, pair) => sum + softplus(-margin(one, pair)), 0),
    );
    return { head, accuracy: judged.reduce((sum, pair) => sum + won(margin(head, pair)), 0) / judged.length };
  });
}

function margin(head: ValueHead, { chosen, rejected }: EmbeddedPair): number {
  return headScore(head, chosen) - headScore(head, rejected);
}

function embeddedPairs(
  groups: readonly EncodedGroup[],
  learner: number,
  embeddings: Float32Array,
): EmbeddedPair[] {
  const count = groups.reduce((sum, { candidates }) => sum + candidates.length, 0);
  const d = embeddings.length / count;
  const pairs: EmbeddedPair[] = [];
  let offset = 0;
  for (const group of groups) {
    const at = (candidate: number): Float32Array =>
      embeddings.slice((offset + candidate) * d, (offset + candidate + 1) * d);
    for (const { first, second } of group.pairs.get(learner) ?? [])
      pairs.push({ chosen: at(first), rejected: at(second) });
    offset += group.candidates.length;
  }
  return pairs;
}
