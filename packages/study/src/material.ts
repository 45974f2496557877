import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { canonicalJson, digestBase, hashFile } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import { openTokenizer, type OpenedTokenizer } from '@dmoerm/tokenizer';
import { openBase } from '@dmoerm/weights';
import type { BonSize } from './bon/design';
import { writeLabels, type LabelFiles } from './bon/labels';
import { takePrompts, type StudyPrompt } from './bon/prompts';
import type { ProxyOptions } from './bon/proxies';
import { samplePolicy } from './bon/samples';
import { vocabularyOf } from './gold/attributes';
import { createGold, GOLD_TASKS, type Gold, type GoldReward } from './gold/gold';

/** What to study, and where. */
export interface StudyOptions {
  /** Preference pairs whose prompts are used. */
  readonly data: string;
  /** The policy, and what proxies are trained on. */
  readonly basePath: string;
  readonly size: BonSize;
  /** Checkpoints, responses and scores: a study that was cut off goes on where it was. */
  readonly work: string;
  readonly threads: number;
  readonly onStage?: (stage: string) => void;
  readonly onProgress?: (label: string, done: number, total: number) => void;
}

/** What all studies of one size begin with. */
export interface Material {
  readonly opened: OpenedTokenizer;
  readonly basePath: string;
  readonly work: string;
  /** SHA-256 of the data. */
  readonly data: string;
  readonly prompts: readonly StudyPrompt[];
  /** Of the policy, by prompt. */
  readonly responses: readonly (readonly string[])[];
  /** Of those. */
  readonly gold: readonly (readonly Gold[])[];
  /** Of anything else. */
  readonly goldOf: (prompt: StudyPrompt, response: string) => number;
}

/**
 * Prompts, the policy's responses and their gold rewards; drawn once and kept.
 * @throws DmoermError as `takePrompts`; FAILED_PRECONDITION, reason `ANOTHER_STUDY`, if the work folder holds another size, data or base.
 */
export async function prepare(options: StudyOptions): Promise<Material> {
  const { size, threads, onStage, onProgress } = options;
  // Recipes lie in the work folder, and paths in them are theirs.
  const [basePath, work] = [resolve(options.basePath), resolve(options.work)];
  mkdirSync(work, { recursive: true });
  const { sha256: data } = await hashFile(options.data);
  identify(work, size, data, (await digestBase(basePath)).digest);
  const base = await openBase(basePath);
  const opened = await openTokenizer(basePath);
  const { prompts, texts } = await takePrompts(options.data, size, opened);
  onStage?.(`${prompts.length} prompts`);
  const responses = await samplePolicy(prompts, {
    base,
    opened,
    size,
    threads,
    file: join(work, 'responses.json.gz'),
    onProgress: (done, total) => onProgress?.('responses of the policy', done, total),
  });
  const rewards = rewardsOf(prompts, responses, texts);
  const goldOf = ({ task, question }: StudyPrompt, response: string): Gold =>
    (rewards.get(task) as GoldReward)(question, response);
  return {
    opened,
    basePath,
    work,
    data,
    prompts,
    responses,
    gold: prompts.map((prompt, p) => (responses[p] ?? []).map((response) => goldOf(prompt, response))),
    goldOf: (prompt, response) => goldOf(prompt, response).reward,
  };
}

/** Says in `study.json` what the work folder holds, or checks that it is that. More noises, and other draws, are no other study. */
function identify(
  work: string,
  { noises: _, draws: __, ...size }: BonSize,
  data: string,
  base: string,
): void {
  const file = join(work, 'study.json');
  const identity = canonicalJson({ size, data, base });
  if (!existsSync(file)) return writeFileSync(file, identity);
  if (readFileSync(file, 'utf8') === identity) return;
  throw new DmoermError({
    code: 'FAILED_PRECONDITION',
    reason: 'ANOTHER_STUDY',
    field: '--work',
    message: `${work} holds a study of another size, other data or another base (see study.json): choose another folder`,
  });
}

/** Gold rewards by task, on the scale of what is labelled. */
function rewardsOf(
  prompts: readonly StudyPrompt[],
  responses: readonly (readonly string[])[],
  texts: readonly string[],
): ReadonlyMap<string, GoldReward> {
  const known = vocabularyOf(texts);
  return new Map(
    GOLD_TASKS.map((task) => {
      const own = prompts.flatMap(({ question, task: name, split }, p) =>
        name === task.name && split !== 'test'
          ? (responses[p] ?? []).map((response) => ({ question, response }))
          : [],
      );
      return [task.name, createGold(task, known, own)];
    }),
  );
}

/** Values of test prompts, or of those that are labelled. */
export function pick<T>(
  { prompts }: Pick<Material, 'prompts'>,
  values: readonly T[],
  part: 'test' | 'labelled',
): T[] {
  return values.filter((_, p) => (prompts[p]?.split === 'test') === (part === 'test'));
}

/** Gold's labels with a share of them flipped, and where the proxies that learn from them are kept. */
export async function labelled(
  material: Material,
  noise: number,
  { size, threads, onProgress }: StudyOptions,
): Promise<ProxyOptions> {
  const { prompts, responses, gold, work, basePath } = material;
  const folder = join(work, `noise-${noise}`);
  mkdirSync(folder, { recursive: true });
  const labels: LabelFiles = await writeLabels(
    pick(material, prompts, 'labelled'),
    pick(material, responses, 'labelled'),
    pick(material, gold, 'labelled'),
    noise,
    folder,
  );
  const watch = onProgress === undefined ? {} : { onProgress };
  return { basePath, labels, size, folder, trunks: join(work, 'trunks'), threads, ...watch };
}
