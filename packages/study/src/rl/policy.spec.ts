import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTokenizer } from '@dmoerm/tokenizer';
import type { StudyPrompt } from '../bon/prompts';
import { mean } from '../rules';
import { advantages } from './grpo';
import { Policy, type Draw } from './policy';

jest.setTimeout(120_000);

const BASE = join(__dirname, '..', '..', '..', '..', 'bundles', 'default', 'base');
const STEPS = 12;
const GROUP = 16;
const work = mkdtempSync(join(tmpdir(), 'dmoerm-policy-'));
let prompts: StudyPrompt[];

beforeAll(async () => {
  const opened = await openTokenizer(BASE);
  prompts = ['Why is the sky blue?', 'Tell me about rivers.'].map((content, i) => {
    const messages = [{ role: 'user', content }] as const;
    const tokens = Int32Array.from(opened.template.promptTokens(messages));
    return { id: `${i}`, task: 'chat', split: 'train', messages, tokens, question: content };
  });
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

async function open(): Promise<Policy> {
  return Policy.open({ basePath: BASE, opened: await openTokenizer(BASE), newTokens: 24, threads: 1, work });
}
const lengthOf = (draws: readonly Draw[]): number =>
  mean(draws.flatMap(({ tokens }) => tokens.map(({ length }) => length)));

/** Learns to be short; gives the mean length and divergence before and after. */
async function shorten(beta: number): Promise<{ lengths: [number, number]; kl: [number, number] }> {
  await using policy = await open();
  const before = await policy.draw(prompts, GROUP, 99);
  const kl = await policy.divergence(before);
  for (let step = 0; step < STEPS; step++) {
    const draws = await policy.draw(prompts, GROUP, step);
    const rewards = draws.map(({ tokens }) => advantages(tokens.map(({ length }) => -length)));
    await policy.learn(draws, rewards, { beta, learningRate: 3e-4 });
  }
  const after = await policy.draw(prompts, GROUP, 99);
  return { lengths: [lengthOf(before), lengthOf(after)], kl: [kl, await policy.divergence(after)] };
}

it('learns what it is rewarded for, goes away from where it began, and less far with a penalty', async () => {
  const free = await shorten(0);
  expect(free.lengths[1]).toBeLessThan(0.7 * free.lengths[0]);
  expect(Math.abs(free.kl[0])).toBeLessThan(1e-3);
  expect(free.kl[1]).toBeGreaterThan(0.05);
  const held = await shorten(5);
  expect(held.kl[1]).toBeLessThan(free.kl[1] / 2);
  expect(held.lengths[1]).toBeGreaterThan(free.lengths[1]);
});

it('draws the same from the same seed, and other responses from another', async () => {
  await using policy = await open();
  const texts = async (seed: number): Promise<readonly string[]> =>
    (await policy.draw(prompts, 4, seed)).flatMap((draw) => draw.texts);
  const first = await texts(1);
  expect(await texts(1)).toEqual(first);
  expect(await texts(2)).not.toEqual(first);
});
