import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRandom } from '@dmoerm/core';
import { capabilitiesOf, type Gold } from '../gold/gold';
import { goldTask } from './design';
import type { StudyPrompt } from './prompts';

/** Files that recipes read. */
export interface LabelFiles {
  readonly preferences: string;
  readonly capabilityPairs: string;
}

/**
 * Writes what gold prefers of each two responses, overall and in each capability, with a share of all labels flipped. What gold does not
 * tell apart, and two equal texts, make no pair; an empty response is none that a recipe takes.
 * @param responses by prompt, `gold` beside them
 */
export async function writeLabels(
  prompts: readonly StudyPrompt[],
  responses: readonly (readonly string[])[],
  gold: readonly (readonly Gold[])[],
  noise: number,
  folder: string,
): Promise<LabelFiles> {
  const random = createRandom(7 + Math.round(1000 * noise));
  const overall: object[] = [];
  const capable: object[] = [];
  prompts.forEach(({ id, task, split, messages }, p) => {
    const names = capabilitiesOf(goldTask(task));
    const own = responses[p] ?? [];
    const seen = new Set<string>();
    for (let i = 0; i + 1 < own.length; i += 2) {
      const [a, b] = [own[i] ?? '', own[i + 1] ?? ''];
      const [first, second] = [gold[p]?.[i], gold[p]?.[i + 1]];
      if (first === undefined || second === undefined || a === b || a === '' || b === '') continue;
      const key = JSON.stringify([a, b].sort());
      if (seen.has(key)) continue;
      seen.add(key);
      const origin = { messages, task, prompt_id: id, split, source: 'gold', licence: 'made-up' };
      const put = (into: object[], difference: number, more: object): void => {
        const flipped = random() < noise;
        if (difference === 0) return;
        const [chosen, rejected] = difference > 0 !== flipped ? [a, b] : [b, a];
        into.push({ ...origin, ...more, chosen, rejected, tie: false });
      };
      put(overall, first.reward - second.reward, {});
      names.forEach((capability, k) =>
        put(capable, (first.capabilities[k] ?? 0) - (second.capabilities[k] ?? 0), { capability }),
      );
    }
  });
  const files = {
    preferences: join(folder, 'preferences.jsonl'),
    capabilityPairs: join(folder, 'capability_pairs.jsonl'),
  };
  const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  await writeFile(files.preferences, lines(overall));
  await writeFile(files.capabilityPairs, lines(capable));
  return files;
}
