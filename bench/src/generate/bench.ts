import type { GeneratingEngine } from '@dmoerm/engine';
import { openBase } from '@dmoerm/weights';
import { openEngine } from '../engine';
import { LlamaPeer } from '../peers/llama';
import { modelFiles } from '../prefill/models';
import { progress } from '../progress';
import { compare, median, type BenchRecord } from '../records';
import { randomTokens } from '../tokens';
import { takeTurns, type Contestant } from '../turns';

/** What to measure. */
export interface GenerateOptions {
  /** Completions at once of one prompt. */
  readonly samples: readonly number[];
  readonly promptTokens: number;
  /** Of each completion. */
  readonly newTokens: number;
  readonly rounds: number;
  readonly threads: number;
}

const MODEL = 'SmolLM2-135M';

/** New tokens per second of completions of one prompt, sampled at temperature 1, beside llama.cpp's parallel sequences. */
export async function benchGenerate(
  options: GenerateOptions,
): Promise<{ records: BenchRecord[]; peers: Record<string, string> }> {
  const files = await modelFiles(MODEL, false);
  if (files === null) return { records: [], peers: {} };
  progress(`loading ${MODEL}`);
  const base = await openBase(files.base);
  await using engine = await openEngine(base, { weightType: 'auto', threads: options.threads });
  if (engine === null) return { records: [], peers: {} };
  await using llama = await LlamaPeer.start(options.threads);
  const types = llama === null || files.ggufs === null ? [] : Object.entries(files.ggufs);
  const prompt = randomTokens(options.promptTokens, base.config.vocabSize, 'generate');
  const records: BenchRecord[] = [];
  for (const samples of options.samples) {
    const contestants: Contestant[] = [{ name: OWN, run: () => generate(engine, prompt, samples, options) }];
    for (const [type, path] of llama === null ? [] : types) {
      const work = { path, prompt, samples, newTokens: options.newTokens };
      contestants.push({ name: `llama.cpp ${type}`, run: async () => [await llama!.generate(type, work)] });
    }
    await generate(engine, prompt, samples, options); // the first time allocates
    const seconds = await takeTurns(`S=${samples}`, contestants, options.rounds);
    records.push(...describe(engine, samples, options, seconds));
  }
  return { records, peers: llama === null ? {} : { 'llama.cpp': llama.version } };
}

const OWN = 'dmoerm';

async function generate(
  engine: GeneratingEngine,
  tokens: Int32Array,
  samples: number,
  { newTokens }: GenerateOptions,
): Promise<number[]> {
  const start = performance.now();
  const prompts = [{ tokens, seed: 1 }];
  await engine.generate({ prompts, samples, maxTokens: newTokens, maxSequences: samples });
  return [(performance.now() - start) / 1e3];
}

function describe(
  engine: GeneratingEngine,
  samples: number,
  { promptTokens, newTokens }: GenerateOptions,
  seconds: ReadonlyMap<string, readonly number[]>,
): BenchRecord[] {
  const speed = (name: string): number => (samples * newTokens) / median(seconds.get(name) ?? []);
  const measured = {
    bench: 'generate',
    case: `${MODEL} ${engine.info.weightType} S=${samples} of ${promptTokens} + ${newTokens} tokens`,
    parameters: { model: MODEL, weights: engine.info.weightType, samples, promptTokens, newTokens },
    metric: 'generation',
    unit: 'tokens/s',
    value: speed(OWN),
  };
  const others = [...seconds.keys()].filter((name) => name !== OWN);
  if (others.length === 0) return [measured];
  return others.map((peer) => compare(measured, { peer, value: speed(peer) }));
}
