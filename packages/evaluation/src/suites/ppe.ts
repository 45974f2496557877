import { groupBy } from '@dmoerm/core';
import { z } from 'zod';
import { won } from '../pairs/groups';
import { bestOfK } from './best-of-k';
import { readRecords } from './read-records';
import { meanLeaf, userPrompt, type Suite, type SuiteItem } from './suite';

const base = { question_id: z.union([z.string(), z.number()]).transform(String), prompt: z.string() };
const humanSchema = z.object({
  ...base,
  response_1: z.string(),
  response_2: z.string(),
  winner: z.string(),
  language: z.string().nullish(),
});
const verifiedSchema = z.looseObject({
  ...base,
  /** Whether `response_<i + 1>` is right. */
  scores: z.array(z.union([z.boolean(), z.number()]).transform(Number)).min(2),
  /** Pairs of indices of a right and a wrong response. */
  sampled_conflict_pairs: z.array(z.tuple([z.number(), z.number()])).default([]),
});
const rowSchema = z.union([verifiedSchema, humanSchema]);
type Verified = z.infer<typeof verifiedSchema>;
type Human = z.infer<typeof humanSchema>;

const HUMAN = 'human';
/** Sizes of the best-of-k figures. */
const SIZES = [1, 2, 4, 8, 16, 32];

/**
 * PPE, Preference Proxy Evaluations (Frick et al. 2024, arXiv 2410.14872; lmarena-ai). Human preferences: `question_id, prompt,
 * response_1, response_2, winner`; ties are left out. Verified correctness, a file per benchmark: `question_id, prompt,
 * response_1..K, scores[K], sampled_conflict_pairs`. A leaf per part: accuracy on pairs, averaged within a prompt, exact ties of
 * rewards half; overall: plain mean over parts. Details: accuracy by language, expected correctness of best-of-k, the worst part.
 * @throws DmoermError as `readRecords`.
 */
export async function readPpe(paths: readonly string[]): Promise<Suite> {
  const { rows, digests } = await readRecords(paths, rowSchema);
  const kept = rows.filter(({ value }) => isVerified(value) || /^model_[ab]$/.test(value.winner));
  return {
    name: 'ppe',
    digests,
    leftOut: { human_tie: rows.length - kept.length },
    items: kept.map(({ value }): SuiteItem => ({
      id: value.question_id,
      messages: userPrompt(value.prompt),
      responses: isVerified(value) ? responsesOf(value) : [value.response_1, value.response_2],
    })),
    measure: (rewards) => {
      const scored = kept.flatMap(({ value, file }, i) => {
        const own = rewards[i] ?? null;
        if (own === null) return [];
        return [{ value, rewards: own, part: isVerified(value) ? partOf(file) : HUMAN }];
      });
      const parts = [...groupBy(scored, ({ part }) => part)];
      const leaves = parts.map(([name, own]) =>
        meanLeaf(
          name,
          1 / parts.length,
          own.flatMap((one) => pairAccuracy(one.value, one.rewards)),
        ),
      );
      const figures = leaves.map(({ name, size, statistic }) => ({
        name,
        value: statistic(Array.from({ length: size }, (_, i) => i)),
      }));
      const worst = figures.reduce(
        (a, b) => (b.value < a.value ? b : a),
        figures[0] ?? { name: '', value: NaN },
      );
      return {
        leaves,
        details: {
          ...Object.fromEntries(parts.flatMap(([name, own]) => bestOfFigures(name, own))),
          ...languageFigures(scored),
          [`worst part: ${worst.name}`]: worst.value,
        },
      };
    },
  };
}

interface Scored {
  readonly value: Verified | Human;
  readonly rewards: readonly number[];
}

function isVerified(value: Verified | Human): value is Verified {
  return 'scores' in value;
}

/** `PPE-MMLU-Pro-Best-of-K.parquet` and `mmlu_pro_best_of_k.json` are the part `mmlu-pro`; another name stands for itself. */
function partOf(file: string): string {
  const name = file
    .toLowerCase()
    .replace(/\.[a-z.]+$/, '')
    .replaceAll('_', '-');
  return name.replace(/^ppe-/, '').replace(/-best-of-k.*$/, '');
}

function responsesOf(value: Verified): string[] {
  return value.scores.map((_, i) => {
    const text = value[`response_${i + 1}`];
    return typeof text === 'string' ? text : '';
  });
}

/** A prompt's share of pairs in which the better response has the larger reward; none if it has no pair. */
function pairAccuracy(value: Verified | Human, rewards: readonly number[]): number[] {
  if (!isVerified(value)) {
    const [first = NaN, second = NaN] = rewards;
    return [won(value.winner === 'model_a' ? first - second : second - first)];
  }
  const { scores, sampled_conflict_pairs: pairs } = value;
  if (pairs.length === 0) return [];
  const sum = pairs.reduce((all, [i, j]) => {
    const margin = (rewards[i] ?? NaN) - (rewards[j] ?? NaN);
    return all + won((scores[i] ?? 0) > (scores[j] ?? 0) ? margin : -margin);
  }, 0);
  return [sum / pairs.length];
}

function bestOfFigures(part: string, own: readonly Scored[]): [string, number][] {
  const verified = own.flatMap(({ value, rewards }) => (isVerified(value) ? [{ value, rewards }] : []));
  const most = Math.min(...verified.map(({ rewards }) => rewards.length));
  return SIZES.filter((k) => verified.length > 0 && k <= most).map((k) => [
    `${part}: best of ${k}`,
    verified.reduce((sum, { value, rewards }) => sum + bestOfK(rewards, value.scores, k), 0) /
      verified.length,
  ]);
}

function languageFigures(scored: readonly Scored[]): Record<string, number> {
  const human = scored.flatMap(({ value, rewards }) => (isVerified(value) ? [] : [{ value, rewards }]));
  const languages = groupBy(human, ({ value }) => value.language ?? 'unknown');
  return Object.fromEntries(
    [...languages].map(([language, own]) => [
      `${HUMAN}: ${language}`,
      own.reduce((sum, { value, rewards }) => sum + (pairAccuracy(value, rewards)[0] ?? NaN), 0) / own.length,
    ]),
  );
}
