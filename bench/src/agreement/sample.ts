import { createHash } from 'node:crypto';
import type { Model, PreparedItem } from '@dmoerm/model';
import type { readDataset } from '@dmoerm/dataset';

/** Two responses to one prompt, from the data. */
export type PreferencePair = Awaited<ReturnType<typeof readDataset>>['preferences'][number];

/** A pair of the sample, ready for the engine: candidate 0 is the chosen response, 1 the rejected one. */
export interface SamplePair {
  /** SHA-256 of task, prompt and responses, base64url. */
  readonly key: string;
  readonly task: string;
  readonly source: string;
  readonly item: PreparedItem;
}

/** Which pairs to take. */
export interface SampleOptions {
  /** Fewer if no more fit. */
  readonly count: number;
  /** Most tokens of prompt and response together, for either response. */
  readonly maxTokens: number;
}

/** Decides the order of the pairs. */
export const SAMPLE_SEED = 1;

/** Texts that would need longer tokens to fit are left out without tokenising them; on average a token has four or five. */
const MOST_CHARACTERS_PER_TOKEN = 6;

/**
 * Pairs of the model's tasks in a fixed order: one in turn from each source of each task, by the hash of seed and pair; no ties, one
 * pair a prompt, all splits. A smaller sample is the start of a larger one.
 */
export function drawSample(
  pairs: readonly PreferencePair[],
  model: Model,
  { count, maxTokens }: SampleOptions,
): SamplePair[] {
  let strata = [...toStrata(pairs, model.taskNames).values()].map((own) => fitting(own, model, maxTokens));
  const sample: SamplePair[] = [];
  while (strata.length > 0 && sample.length < count) {
    strata = strata.filter((stratum) => {
      if (sample.length >= count) return true;
      const next = stratum.next();
      if (next.done) return false;
      sample.push(next.value);
      return true;
    });
  }
  return sample;
}

/** Names a sample: the same digest, the same pairs. */
export function sampleDigest(sample: readonly SamplePair[]): string {
  const hash = createHash('sha256');
  for (const { key } of sample) hash.update(key);
  return hash.digest('hex').slice(0, 12);
}

/** Pairs by task and source, each in the order of their hashes. */
function toStrata(
  pairs: readonly PreferencePair[],
  tasks: readonly string[],
): Map<string, { readonly key: string; readonly pair: PreferencePair }[]> {
  const strata = new Map<string, { key: string; order: string; pair: PreferencePair }[]>();
  for (const pair of pairs) {
    if (pair.tie || !tasks.includes(pair.task)) continue;
    const name = `${pair.task}/${pair.source}`;
    const key = sha256(JSON.stringify([pair.task, pair.messages, pair.chosen, pair.rejected]));
    const stratum = strata.get(name) ?? [];
    stratum.push({ key, order: sha256(`${SAMPLE_SEED}\0${key}`), pair });
    strata.set(name, stratum);
  }
  for (const stratum of strata.values()) stratum.sort((a, b) => (a.order < b.order ? -1 : 1));
  return strata;
}

/** Those that fit, tokenised when they are asked for. */
function* fitting(
  stratum: readonly { readonly key: string; readonly pair: PreferencePair }[],
  model: Model,
  maxTokens: number,
): Generator<SamplePair> {
  const prompts = new Set<string>();
  for (const { key, pair } of stratum) {
    const { task, source, prompt_id: prompt, messages, chosen, rejected } = pair;
    if (prompts.has(prompt)) continue;
    const promptLength = messages.reduce((sum, { content }) => sum + content.length, 0);
    if (promptLength + Math.max(chosen.length, rejected.length) > MOST_CHARACTERS_PER_TOKEN * maxTokens)
      continue;
    const item = model.prepare(task, {
      prompt: { type: 'conversation', messages },
      candidates: [chosen, rejected],
      truncation: 'reject',
    });
    const fits = item.candidates.every(
      (candidate) =>
        candidate.type === 'tokens' &&
        (item.prompts[candidate.prompt]?.length ?? 0) + candidate.tokens.length <= maxTokens,
    );
    if (!fits) continue;
    prompts.add(prompt);
    yield { key, task, source, item };
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
