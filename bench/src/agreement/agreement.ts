import { join } from 'node:path';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import { createOnnxRunner } from '@dmoerm/onnx';
import { readDataset } from '@dmoerm/dataset';
import { compare, type Figures } from './figures';
import { drawSample, sampleDigest, type SamplePair } from './sample';
import { openScorer, toBatches, type Scorer, type ScorerOptions, type WeightType } from './scorer';
import { openRewarders } from './bundle-rewards';
import { openCachedBundle } from '../cached-bundle';
import { ROOT } from '../paths';
import { startProgressBar } from './progress-bar';

/** Kept between runs; git ignores it. */
const CACHE_FOLDER = join(ROOT, '.tools', 'bench', 'agreement');

/** What to measure. */
export interface AgreementOptions {
  /** Folder of the data. */
  readonly data: string;
  readonly bundle: string;
  /** Another file of the bundle's base; null: the one in the cache. */
  readonly base: string | null;
  readonly pairs: number;
  /** Most tokens of prompt and response together. */
  readonly maxTokens: number;
  /** Types to compare with float32. */
  readonly types: readonly WeightType[];
  readonly isa: ScorerOptions['isa'];
  readonly threads: number;
}

/** Pairs that all types scored. */
export interface SampleNote {
  readonly pairs: number;
  /** Names the pairs. */
  readonly digest: string;
  /** SHA-256 of the file that they are from. */
  readonly preferences: string;
  readonly revision: string;
  /** Pairs by task and source. */
  readonly strata: Readonly<Record<string, number>>;
}

/** One type beside float32. */
export interface TypeReport extends Figures {
  readonly type: WeightType;
  /** The unit that was chosen. */
  readonly isa: string;
  readonly threads: number;
  /** Rows per second of engine time; null where all came from the cache. */
  readonly rowsPerSecond: number | null;
}

/** What came out. */
export interface AgreementReport {
  readonly sample: SampleNote;
  /** As `TypeReport.rowsPerSecond`, of float32. */
  readonly referenceRowsPerSecond: number | null;
  readonly types: readonly TypeReport[];
  /** Types that could not be loaded, with the reason. */
  readonly missing: readonly { readonly type: WeightType; readonly message: string }[];
}

/** Scores a sample of preference pairs with float32 and with other weight types; batch by batch in turns. */
export async function benchAgreement(options: AgreementOptions): Promise<AgreementReport> {
  const { preferences, digests } = await readDataset(options.data);
  const found = await openCachedBundle(options.bundle);
  const bundle = options.base === null ? found : { ...found, basePath: options.base };
  await using runner = createOnnxRunner();
  const rewarders = await openRewarders(bundle, runner);
  const scorers: Scorer[] = [];
  const missing: { type: WeightType; message: string }[] = [];
  try {
    const { isa, threads } = options;
    for (const type of ['f32', ...options.types] as const)
      try {
        scorers.push(await openScorer({ bundle, type, isa, threads, rewarders, folder: CACHE_FOLDER }));
      } catch (error) {
        if (type === 'f32') throw error;
        missing.push({ type, message: DmoermError.from(error).message });
      }
    const [reference, ...others] = scorers;
    if (reference === undefined) throw new Error('float32 is not loaded');
    const { pairs: count, maxTokens } = options;
    const sample = drawSample(preferences, reference.model, { count, maxTokens });
    if (sample.length === 0)
      throw invalidArgument(
        '--max-tokens',
        'EMPTY_SAMPLE',
        `no pair of the bundle's tasks has at most ${maxTokens} tokens`,
      );
    await scoreAll(sample, scorers);
    return {
      sample: {
        pairs: sample.length,
        digest: sampleDigest(sample),
        preferences: digests['preferences.jsonl.gz'] ?? '',
        revision: bundle.revision,
        strata: countStrata(sample),
      },
      referenceRowsPerSecond: speed(reference),
      types: others.map((scorer) => ({
        type: scorer.type,
        isa: scorer.model.engine.info.isa,
        threads: scorer.model.engine.info.threads,
        rowsPerSecond: speed(scorer),
        ...compare(bundle, sample, reference.cache, scorer.cache),
      })),
      missing,
    };
  } finally {
    for (const scorer of scorers) await scorer[Symbol.asyncDispose]();
  }
}

async function scoreAll(sample: readonly SamplePair[], scorers: readonly Scorer[]): Promise<void> {
  const progress = startProgressBar('scoring', 'pairs', sample.length);
  let done = 0;
  try {
    for (const batch of toBatches(sample)) {
      for (const scorer of scorers) await scorer.score(batch);
      done += batch.length;
      progress.update(done);
    }
  } finally {
    progress.stop();
  }
}

function speed({ work: { rows, engineNs } }: Scorer): number | null {
  return rows === 0 ? null : (rows / engineNs) * 1e9;
}

function countStrata(sample: readonly SamplePair[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { task, source } of sample) counts[`${task}/${source}`] = (counts[`${task}/${source}`] ?? 0) + 1;
  return counts;
}
