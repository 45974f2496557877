import { existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { createRandom, shuffle } from '@dmoerm/core';
import type { StudyPrompt } from '../bon/prompts';
import { wordsOf } from '../gold/attributes';
import { pick, type Material } from '../material';
import { mean } from '../rules';
import type { RlSize } from './design';
import { advantages } from './grpo';
import type { Judge } from './judge';
import { Policy } from './policy';

/** A measurement on the test prompts. */
export interface RlPoint {
  readonly step: number;
  /** Nats a response, to the policy that it began as. */
  readonly kl: number;
  /** By prompt: means over its responses. */
  readonly gold: readonly number[];
  readonly proxy: number;
  readonly words: number;
}

/** What a run of GRPO is. */
export interface RlRunOptions {
  readonly material: Material;
  readonly size: RlSize;
  readonly newTokens: number;
  readonly beta: number;
  readonly seed: number;
  readonly threads: number;
  /** Where its measurements are kept: a run that has them is not made again. */
  readonly file: string;
  readonly onProgress?: (step: number, steps: number) => void;
}

/** Trains the policy against a judge, measuring gold on the way. @param open called if the run has to be made. */
export async function learnRun(open: () => Promise<Judge>, options: RlRunOptions): Promise<RlPoint[]> {
  const { material, size, newTokens, beta, seed, threads, file } = options;
  if (existsSync(file)) return JSON.parse(await readFile(file, 'utf8')) as RlPoint[];
  await using judge = await open();
  const { basePath, opened, work, prompts } = material;
  await using policy = await Policy.open({ basePath, opened, newTokens, threads, work });
  const train = prompts.filter(({ split }) => split === 'train');
  const test = pick(material, prompts, 'test');
  const order = endless(train, seed);
  const points: RlPoint[] = [];
  for (let step = 0; ; step++) {
    if (step % size.measureEvery === 0)
      points.push(await measurePoint(step, policy, judge, test, material, size.measureSamples));
    if (step === size.steps) break;
    const own = Array.from({ length: size.prompts }, () => order());
    const draws = await policy.draw(own, size.group, seed * 10_000 + step);
    const rewards = await judge.score(draws.map(({ prompt, texts }) => ({ prompt, responses: texts })));
    await policy.learn(draws, rewards.map(advantages), { beta, learningRate: size.learningRate });
    options.onProgress?.(step + 1, size.steps);
  }
  await writeFile(`${file}.tmp`, JSON.stringify(points));
  await rename(`${file}.tmp`, file);
  return points;
}

async function measurePoint(
  step: number,
  policy: Policy,
  judge: Judge,
  test: readonly StudyPrompt[],
  { goldOf }: Material,
  samples: number,
): Promise<RlPoint> {
  // The same random numbers every time: what differs is the policy.
  const draws = await policy.draw(test, samples, 7);
  const rewards = await judge.score(draws.map(({ prompt, texts }) => ({ prompt, responses: texts })));
  const texts = draws.flatMap((draw) => draw.texts);
  const gold = draws.map(({ prompt, texts: own }) => mean(own.map((text) => goldOf(prompt, text))));
  return {
    step,
    kl: await policy.divergence(draws),
    gold,
    proxy: mean(rewards.flat()),
    words: mean(texts.map((text) => wordsOf(text).length)),
  };
}

/** Prompts in random order, again and again. */
function endless(prompts: readonly StudyPrompt[], seed: number): () => StudyPrompt {
  const random = createRandom(seed);
  let order: StudyPrompt[] = [];
  return () => {
    if (order.length === 0) order = shuffle(prompts, random);
    return order.pop() as StudyPrompt;
  };
}
