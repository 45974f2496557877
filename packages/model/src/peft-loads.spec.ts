import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addExpert, exportExpert, openExpertSource } from '@dmoerm/bundle';
import { createEngine } from '@dmoerm/engine';
import {
  createSpecBundle,
  goldenBase,
  goldenExpert,
  readGoldenScores,
  relativeError,
  TOLERANCES,
} from '@dmoerm/testing';
import { openBase, writeAdapter } from '@dmoerm/weights';

const ROOT = join(__dirname, '..', '..', '..');
const EXPERTS = [
  ['trl-lora', 'chat'],
  ['trl-top2', 'poem'],
  ['trl-alora', 'qa'],
] as const;
const FIND = 'from importlib.util import find_spec as f; exit(not (f("peft") and f("transformers")))';

const SEQUENCES = [7, 40].map((length) => Array.from({ length }, (_, i) => 20 + ((i * 37) % 300)));

/** An adapter with other modules, ranks and scales in every layer. */
async function writeIrregular(folder: string): Promise<string> {
  const { config } = await openBase(goldenBase('llama'));
  const sizes = { q_proj: [48, 48], k_proj: [24, 48], up_proj: [100, 48], down_proj: [48, 100] } as const;
  const places = [
    [0, 'q_proj', 3, 5 / 3],
    [1, 'q_proj', 4, 0.5],
    [1, 'down_proj', 4, 0.3 / 4],
    [2, 'up_proj', 1, 2],
    [3, 'k_proj', 9, 0.7],
  ] as const;
  const numbers = (length: number, seed: number) =>
    Float32Array.from({ length }, (_, i) => 0.3 * Math.sin(seed + i * i));
  const modules = places.map(([layer, target, rank, scale]) => {
    const [out, inner] = sizes[target];
    const [a, b] = [numbers(rank * inner, layer), numbers(out * rank, layer + 9)];
    return { layer, target, rank, scale, a, b };
  });
  const head = numbers(config.hiddenSize, 77);
  await writeAdapter(folder, { modules, invocationTokens: null, head, baseName: 'llama' }, config);
  return folder;
}

async function engineScores(folder: string): Promise<Float32Array> {
  const base = await openBase(goldenBase('llama'));
  const { adapter, head } = await openExpertSource(folder, null, goldenBase('llama'));
  await using engine = await createEngine(base, { weightType: 'f32', threads: 1 });
  const experts = [{ adapter, invocationTokens: [], head }];
  const task = await engine.addTask({ plan: { type: 'full' }, taskAdapter: null, experts });
  const prompts = SEQUENCES.map((ids) => Int32Array.from(ids.slice(0, -1)));
  const candidates = SEQUENCES.map((ids, prompt) => ({ prompt, tokens: Int32Array.from(ids.slice(-1)) }));
  const { outputs } = await engine.evaluate([{ task, prompts, candidates }]);
  return outputs[0].scores;
}

/** A Python with transformers and PEFT, if this machine has one. */
const python = [
  join(ROOT, '.cache', 'oracle', 'bin', 'python'),
  join(ROOT, '.tools', 'peers', 'python', 'bin', 'python'),
  'python3',
].find((one) => spawnSync(one, ['-c', FIND]).status === 0);
if (python === undefined)
  process.stderr.write(
    'skipped: PEFT loads what was exported (no Python with peft and transformers; see tools/interop/README.md)\n',
  );

(python === undefined ? it.skip : it)(
  'transformers and PEFT load exported experts, with the scores that they had before',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmoerm-export-'));
    try {
      const start = await createSpecBundle(join(folder, 'start'), folder);
      const jobs = [];
      for (const [expert, task] of EXPERTS) {
        const source = await openExpertSource(goldenExpert(expert), null, start.basePath);
        const place = { task, capability: 'imported' };
        const { bundle } = await addExpert(start, source, place, join(folder, expert), { cacheDir: folder });
        const adapter = join(folder, `${expert}-out`);
        await exportExpert(bundle, task, 'imported', adapter);
        jobs.push({ adapter, sequences: readGoldenScores(expert).map(({ input_ids: ids }) => ids) });
      }
      jobs.push({ adapter: await writeIrregular(join(folder, 'irregular')), sequences: SEQUENCES });
      const { status, stdout, stderr } = spawnSync(
        python ?? '',
        [join(ROOT, 'tools', 'interop', 'peft_scores.py'), goldenBase('llama')],
        { input: JSON.stringify(jobs), encoding: 'utf8' },
      );
      expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
      const found = JSON.parse(stdout) as number[][];
      EXPERTS.forEach(([expert], i) => {
        const golden = readGoldenScores(expert).map(({ score }) => score);
        expect(relativeError(found[i] ?? [], golden)).toBeLessThan(TOLERANCES.float32Scores);
      });
      expect(
        relativeError(found[EXPERTS.length] ?? [], await engineScores(join(folder, 'irregular'))),
      ).toBeLessThan(TOLERANCES.float32Scores);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  120_000,
);
