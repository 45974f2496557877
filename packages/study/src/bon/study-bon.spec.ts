import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GOLD_TASKS } from '../gold/gold';
import type { BonSize } from './design';
import { bonTables } from './report';
import { studyBon } from './study-bon';

jest.setTimeout(300_000);

const SIZE: BonSize = {
  trainPrompts: 8,
  validPrompts: 14,
  pairs: 2,
  testPrompts: 2,
  samples: 8,
  newTokens: 16,
  promptTokens: 64,
  members: 2,
  epochs: 1,
  noises: [0.25],
  draws: 50,
};
const BASE = join(__dirname, '..', '..', '..', '..', 'bundles', 'default', 'base');
const THINGS = ['river', 'house', 'school', 'garden', 'winter', 'bridge', 'letter', 'market'];
const ASKS = ['What do you know of the', 'Please help me with the', 'Where can I find the'];

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-study-'));
const data = join(folder, 'pairs.jsonl');
const options = { data, basePath: BASE, size: SIZE, work: join(folder, 'work'), threads: 1 };

beforeAll(() => {
  const splits = [
    ...Array.from({ length: SIZE.trainPrompts }, () => 'train'),
    ...Array.from({ length: SIZE.validPrompts }, () => 'valid'),
    ...Array.from({ length: SIZE.testPrompts }, () => 'test'),
  ];
  const rows = GOLD_TASKS.flatMap(({ name }, t) =>
    splits.map((split, i) => ({
      messages: [
        { role: 'user', content: `${ASKS[t]} ${THINGS[i % 8]} in the ${THINGS[Math.floor(i / 8)]}?` },
      ],
      chosen: 'I think that you can find it in the book.',
      rejected: 'No idea.',
      task: name,
      prompt_id: `${name}-${i}`,
      split,
    })),
  );
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('goes from prompts to curves with intervals, and after a stop on from where it was', async () => {
  const stages: string[] = [];
  const report = await studyBon({ ...options, onStage: (stage) => stages.push(stage) });
  expect(stages.filter((stage) => stage.includes('proxy'))).toHaveLength(8);
  expect(report.arms.map(({ arm }) => arm)).toEqual(
    expect.arrayContaining(['single', 'ensemble_wco', 'klora_mean', 'dmoerm_full', 'dmoerm_uwo', 'longer']),
  );
  const start = report.arms[0]?.curve[0]?.value ?? NaN;
  for (const { arm, curve, final } of report.arms) {
    expect([arm, curve.length]).toEqual([arm, 4]);
    expect(curve[0]?.value).toBeCloseTo(start, 9);
    for (const value of [...final.interval, ...curve.map((point) => point.proxy)])
      expect(Number.isFinite(value)).toBe(true);
  }
  expect(bonTables(report)).toContain('| `dmoerm_top_layers`');

  const scores = join(options.work, 'noise-0.25', 'readout', 'scores.json.gz');
  const kept = statSync(join(options.work, 'responses.json.gz')).mtimeMs;
  rmSync(scores);
  expect(await studyBon(options)).toEqual(report);
  expect(statSync(join(options.work, 'responses.json.gz')).mtimeMs).toBe(kept);
});

it('says which prompts are missing', async () => {
  const size = { ...SIZE, testPrompts: 3 };
  await expect(studyBon({ ...options, size, work: join(folder, 'other') })).rejects.toMatchObject({
    reason: 'TOO_FEW_PROMPTS',
    field: '--data',
  });
});
