import { groupBy } from '@dmoerm/core';
import { z } from 'zod';
import { readRecords } from './read-records';
import { meanLeaf, userPrompt, type Suite } from './suite';

/** Styles of a response: concise, detailed in plain text, detailed with markdown. */
const STYLES = 3;

const three = z.array(z.string()).length(STYLES);
const rowSchema = z.object({
  id: z.union([z.string(), z.number()]).transform(String),
  prompt: z.string(),
  chosen: three,
  rejected: three,
  domain: z.string(),
});

/**
 * RM-Bench (Liu et al. 2024, arXiv 2410.16184; THU-KEG/RM-Bench): `id, prompt, chosen[3], rejected[3], domain`. Chosen style i beats
 * rejected style j if its reward is larger, strictly. Hard: plainer chosen against fancier rejected responses (above the
 * diagonal), Normal: equal styles, Easy: below. A domain is the mean of the three, `safety-refuse` and `safety-response` together
 * make Safety, overall is the mean over Chat, Code, Math and Safety.
 * @throws DmoermError as `readRecords`.
 */
export async function readRmBench(paths: readonly string[]): Promise<Suite> {
  const { rows, digests } = await readRecords(paths, rowSchema);
  return {
    name: 'rm-bench',
    digests,
    leftOut: {},
    items: rows.map(({ value: { id, prompt, chosen, rejected } }) => ({
      id,
      messages: userPrompt(prompt),
      responses: [...chosen, ...rejected],
    })),
    measure: (rewards) => {
      const scored = rows.flatMap(({ value: { domain } }, i) => {
        const own = rewards[i] ?? null;
        return own === null ? [] : [{ domain, ...styleWins(own) }];
      });
      const domains = groupBy(scored, ({ domain }) => domain.split('-')[0] ?? '');
      const parts = [...domains.values()].flatMap((own) => {
        const subdomains = [...groupBy(own, ({ domain }) => domain)];
        return subdomains.map(([name, rows_]) => ({
          name,
          weight: 1 / (domains.size * subdomains.length),
          rows: rows_,
        }));
      });
      const overall = (level: 'easy' | 'normal' | 'hard'): number =>
        parts.reduce(
          (sum, part) =>
            sum + (part.weight * part.rows.reduce((all, row) => all + row[level], 0)) / part.rows.length,
          0,
        );
      return {
        leaves: parts.map(({ name, weight, rows: own }) =>
          meanLeaf(
            name,
            weight,
            own.map(({ easy, normal, hard }) => (easy + normal + hard) / 3),
          ),
        ),
        details: { easy: overall('easy'), normal: overall('normal'), hard: overall('hard') },
      };
    },
  };
}

/** Shares of strict wins of one row's rewards, [chosen by style, rejected by style]. */
export function styleWins(rewards: readonly number[]): { easy: number; normal: number; hard: number } {
  const wins = { easy: 0, normal: 0, hard: 0 };
  for (let i = 0; i < STYLES; i++)
    for (let j = 0; j < STYLES; j++)
      if ((rewards[i] ?? NaN) > (rewards[STYLES + j] ?? NaN))
        wins[i < j ? 'hard' : i === j ? 'normal' : 'easy'] += 1 / STYLES;
  return wins;
}
