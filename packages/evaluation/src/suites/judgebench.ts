import { groupBy } from '@dmoerm/core';
import { z } from 'zod';
import { readRecords } from './read-records';
import { meanLeaf, userPrompt, type Suite } from './suite';

const rowSchema = z.object({
  pair_id: z.string(),
  source: z.string(),
  question: z.string(),
  response_model: z.string(),
  response_A: z.string(),
  response_B: z.string(),
  label: z.enum(['A>B', 'B>A']),
});

/**
 * JudgeBench (Tan et al. 2024, arXiv 2410.12784; ScalerLab/JudgeBench): `pair_id, source, question, response_model, response_A,
 * response_B, label`. A reward model judges one order, as it does not see the other response; right if the labelled response has
 * the larger reward, an exact tie is wrong. Overall: share of pairs; also by kind of source and by the model that answered.
 * @throws DmoermError as `readRecords`.
 */
export async function readJudgeBench(paths: readonly string[]): Promise<Suite> {
  const { rows, digests } = await readRecords(paths, rowSchema);
  return {
    name: 'judgebench',
    digests,
    leftOut: {},
    items: rows.map(({ value }) => ({
      id: value.pair_id,
      messages: userPrompt(value.question),
      responses: [value.response_A, value.response_B],
    })),
    measure: (rewards) => {
      const scored = rows.flatMap(({ value }, i) => {
        const own = rewards[i] ?? null;
        if (own === null) return [];
        const [a = NaN, b = NaN] = own;
        return [{ value, right: (value.label === 'A>B' ? a > b : b > a) ? 1 : 0 }];
      });
      const share = (of: readonly { right: number }[]): number =>
        of.reduce((sum, { right }) => sum + right, 0) / of.length;
      const kinds = groupBy(scored, ({ value }) => kindOf(value.source));
      const models = groupBy(scored, ({ value }) => value.response_model);
      return {
        leaves: [
          meanLeaf(
            'pairs',
            1,
            scored.map(({ right }) => right),
          ),
        ],
        details: Object.fromEntries([...kinds, ...models].map(([name, own]) => [name, share(own)])),
      };
    },
  };
}

/** The paper's four kinds: MMLU-Pro asks for knowledge, LiveBench for reasoning and mathematics, LiveCodeBench for code. */
function kindOf(source: string): string {
  if (source.startsWith('mmlu-pro')) return 'knowledge';
  if (source === 'livebench-reasoning') return 'reasoning';
  if (source === 'livebench-math') return 'math';
  if (source.startsWith('livecodebench')) return 'coding';
  return source;
}
