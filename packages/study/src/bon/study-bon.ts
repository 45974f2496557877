import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createRandom, shuffle } from '@dmoerm/core';
import { hashFile } from '@dmoerm/bundle';
import { openTokenizer } from '@dmoerm/tokenizer';
import { openBase } from '@dmoerm/weights';
import { vocabularyOf } from '../gold/attributes';
import { createGold, GOLD_TASKS, type Gold, type GoldReward } from '../gold/gold';
import { armsOf } from './arms';
import { proxiesOf, type BonSize } from './design';
import { figuresOf, type BonEvidence, type BonFigures } from './figures';
import { writeLabels } from './labels';
import { takePrompts, type StudyPrompt } from './prompts';
import { scoreProxy, type ProxyScores } from './proxies';
import type { BonReport } from './report';
import { samplePolicy } from './samples';
import { signsOf, type Signs } from './signs';

/** What to study, and where. */
export interface BonOptions {
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

/**
 * Best-of-n against proxies of a known gold reward (arXiv 2210.10760, 2310.02743, closed variant): the policy answers prompts, gold labels
 * pairs of its answers, a share of the labels is flipped, proxies learn from them, and choose among N new answers.
 * @throws DmoermError as `takePrompts`.
 */
export async function studyBon(options: BonOptions): Promise<BonReport> {
  const { data, size, threads, onStage, onProgress } = options;
  // Recipes lie in the work folder, and paths in them are theirs.
  const [basePath, work] = [resolve(options.basePath), resolve(options.work)];
  mkdirSync(work, { recursive: true });
  const base = await openBase(basePath);
  const opened = await openTokenizer(basePath);
  const { prompts, texts } = await takePrompts(data, size, opened);
  onStage?.(`${prompts.length} prompts`);
  const responses = await samplePolicy(prompts, {
    base,
    opened,
    size,
    threads,
    file: join(work, 'responses.json.gz'),
    onProgress: (done, total) => onProgress?.('responses of the policy', done, total),
  });
  const gold = goldOf(prompts, responses, texts);
  const isTest = ({ split }: StudyPrompt): boolean => split === 'test';
  const pick = <T>(values: readonly T[], wanted: (prompt: StudyPrompt) => boolean): T[] =>
    values.filter((_, p) => wanted(prompts[p] as StudyPrompt));
  const test = prompts.filter(isTest);
  const labelled = (prompt: StudyPrompt): boolean => !isTest(prompt);
  const random = createRandom(1);
  const evidence: Omit<BonEvidence, 'noise'> = {
    gold: pick(gold, isTest).map((row) => row.map(({ reward }) => reward)),
    ties: test.map(() => shuffle([...Array(size.samples).keys()], random)),
    strata: test.map(({ task }) => task),
    draws: size.draws,
  };
  const arms: BonFigures[] = [];
  const signs: Signs[] = [];
  for (const noise of size.noises) {
    const folder = join(work, `noise-${noise}`);
    mkdirSync(folder, { recursive: true });
    const labels = await writeLabels(
      pick(prompts, labelled),
      pick(responses, labelled),
      pick(gold, labelled),
      noise,
      folder,
    );
    const proxies = proxiesOf(size);
    const scores = new Map<string, ProxyScores>();
    for (const [i, proxy] of proxies.entries()) {
      onStage?.(`${Math.round(100 * noise)} % flipped, proxy ${i + 1} of ${proxies.length}: ${proxy.name}`);
      const own = {
        basePath,
        labels,
        size,
        folder,
        trunks: join(work, 'trunks'),
        threads,
        ...watch(options),
      };
      scores.set(proxy.name, await scoreProxy(proxy, test, pick(responses, isTest), own));
    }
    onStage?.(`${Math.round(100 * noise)} % flipped: curves and intervals`);
    const all = armsOf(proxies, scores, pick(responses, isTest));
    arms.push(...figuresOf(all, { ...evidence, noise }));
    signs.push(signsOf(scores.get('top_layers') ?? {}, pick(responses, isTest), { ...evidence, noise }));
  }
  return { size, data: (await hashFile(data)).sha256, prompts: test.length, arms, signs };
}

/** Gold of all responses, on the scale of what is labelled. */
function goldOf(
  prompts: readonly StudyPrompt[],
  responses: readonly (readonly string[])[],
  texts: readonly string[],
): Gold[][] {
  const known = vocabularyOf(texts);
  const rewards = new Map<string, GoldReward>(
    GOLD_TASKS.map((task) => {
      const own = prompts.flatMap(({ question, task: name, split }, p) =>
        name === task.name && split !== 'test'
          ? (responses[p] ?? []).map((response) => ({ question, response }))
          : [],
      );
      return [task.name, createGold(task, known, own)];
    }),
  );
  return prompts.map(({ task, question }, p) => {
    const reward = rewards.get(task) as GoldReward;
    return (responses[p] ?? []).map((response) => reward(question, response));
  });
}

function watch({ onProgress }: BonOptions): Pick<BonOptions, 'onProgress'> {
  return onProgress === undefined ? {} : { onProgress };
}
