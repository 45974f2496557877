import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { openBundle, type Bundle } from '@dmoerm/bundle';
import { activateBundle, createClient, type ItemResult, type ScoreItem } from '@dmoerm/client';
import { createEngine } from '@dmoerm/engine';
import { SPEC_TASKS } from '@dmoerm/testing';
import { openAdapter, openBase, readSafetensors, readTensorF32, type TensorRef } from '@dmoerm/weights';
import { QUICK_END, exitStatus, serve } from '../../serve';
import type { Figure, Size } from '../figure';
import { DamagedBundle } from '../support/bundle-damage';
import { createSpecFolder, type SpecFolder } from '../support/spec-folder';

/** Files of weights that are damaged, at most. */
const FILES: Readonly<Record<Size, number>> = { quick: 5, short: 100, full: 100 };
/** Rounds per damaged file, each with an answer per task. */
const ROUNDS: Readonly<Record<Size, number>> = { quick: 1, short: 20, full: 5_600 };
/** Finite, as a load asks for; no sum or product with it is. */
const HUGE = 3e38;

const ITEMS: readonly ScoreItem[] = SPEC_TASKS.map(({ word }) => ({
  prompt: { type: 'conversation', messages: [{ role: 'user', content: `${word}, why do rivers bend?` }] },
  candidates: ['because of sand', 'water cuts the outer bank', 'nobody knows'],
}));

/** Weights that overflow while they are computed with: a reward is finite, or an error says why there is none. */
export const R10: Figure = {
  id: 'R10',
  title: 'not finite',
  threshold:
    'no reward or score is other than finite; what is, is an error of its candidate; other tasks keep their bits',
  measure: async (size) => {
    await using folder = await createSpecFolder();
    const damaged = damageEach(folder, FILES[size]);
    const served = await serve(folder.bundle, folder.path, [], QUICK_END);
    const { router, expert, aggregator } = served.addresses;
    const client = createClient({ address: router });
    const seen = { answers: 0, errors: 0, notFinite: 0, changed: 0, silent: 0 };
    try {
      const sound = await client.batchScore(ITEMS);
      for (const { bundle, path } of damaged) {
        await activateBundle(bundle, { routers: [router], experts: [expert], aggregators: [aggregator] });
        for (let round = 0; round < ROUNDS[size]; round++)
          (await client.batchScore(ITEMS)).forEach((result, i) => {
            const task = SPEC_TASKS[i]?.name ?? '';
            const touched = path.includes(`/${task}`) || path.startsWith('router');
            count(seen, result, touched ? null : (sound[i] as ItemResult));
          });
      }
    } finally {
      client.close();
      served.child.kill('SIGTERM');
      await exitStatus(served.child);
    }
    return {
      holds: seen.notFinite === 0 && seen.changed === 0 && seen.silent === 0 && seen.errors > 0,
      figure:
        `${seen.answers} answers from ${damaged.length} damaged files: ${seen.errors} typed errors, ${seen.notFinite} not finite, ` +
        `${seen.silent} without a reason, ${seen.changed} of other tasks changed`,
    };
  },
  // The engine alone, which checks nothing: what the services would pass on without looking.
  control: async () => {
    await using folder = await createSpecFolder();
    const [first] = damageEach(folder, 100).filter(({ path }) => path.startsWith('adapters/chat'));
    const opened = await openBundle(first?.bundle ?? '', { cacheDir: folder.path });
    const scores = await rawScores(opened);
    const bad = scores.filter((score) => !Number.isFinite(score)).length;
    return { holds: bad === 0, figure: `${bad} of ${scores.length} scores of the engine are not finite` };
  },
};

/** A bundle per file of weights, with one huge value in each of the file's tensors. */
function damageEach({ bundle, path: folder }: SpecFolder, most: number): { bundle: string; path: string }[] {
  const files = new DamagedBundle(bundle)
    .files('.safetensors')
    .filter((path) => path.startsWith('adapters/') || path.startsWith('heads/'));
  return files.slice(0, most).map((path, i) => {
    const copy = join(folder, `damaged-${i}`);
    cpSync(bundle, copy, { recursive: true });
    const damaged = new DamagedBundle(copy);
    const bytes = damaged.read(path);
    const start = 8 + Number(bytes.readBigUInt64LE());
    const { __metadata__: _, ...tensors } = JSON.parse(bytes.subarray(8, start).toString()) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    for (const { data_offsets: offsets } of Object.values(tensors))
      bytes.writeFloatLE(HUGE, start + offsets[0]);
    damaged.write(path, bytes);
    damaged.sign();
    return { bundle: copy, path };
  });
}

function count(
  seen: { answers: number; errors: number; notFinite: number; changed: number; silent: number },
  result: ItemResult,
  expected: ItemResult | null,
): void {
  seen.answers++;
  if (expected !== null && numbersOf(result) !== numbersOf(expected)) seen.changed++;
  if (result.type === 'error') {
    if (result.error.reason === '') seen.silent++;
    seen.errors++;
    return;
  }
  for (const one of result.candidates) {
    if (one.type === 'error') {
      if (one.error.reason === '') seen.silent++;
      seen.errors++;
    } else if (![one.reward, ...one.capabilities.map(({ score }) => score)].every(Number.isFinite))
      seen.notFinite++;
  }
}

function numbersOf(result: ItemResult): string {
  if (result.type === 'error') return result.error.reason;
  return JSON.stringify(
    result.candidates.map((one) =>
      one.type === 'score' ? [one.reward, one.capabilities] : one.error.reason,
    ),
  );
}

/** Scores of task `chat` from the engine itself. */
async function rawScores(bundle: Bundle): Promise<number[]> {
  const base = await openBase(bundle.basePath);
  await using engine = await createEngine(base, { threads: 1, weightType: 'f32' });
  const task = bundle.task('chat');
  const { tensors } = await readSafetensors(bundle.file(task.heads));
  const weight = await readTensorF32(tensors.get('weight') as TensorRef);
  const d = base.config.hiddenSize;
  const experts = await Promise.all(
    task.capabilities.map(async ({ adapter }, k) => ({
      adapter: adapter === null ? null : await openAdapter(bundle.file(adapter), base.config),
      invocationTokens: [],
      head: { weight: weight.slice(k * d, (k + 1) * d), bias: 0 },
    })),
  );
  const handle = await engine.addTask({ plan: { type: 'full' }, taskAdapter: null, experts });
  const { outputs } = await engine.evaluate([
    {
      task: handle,
      prompts: [Int32Array.of(1, 5, 7, 9)],
      candidates: [{ prompt: 0, tokens: Int32Array.of(11, 12) }],
    },
  ]);
  return [...(outputs[0]?.scores ?? [])];
}
