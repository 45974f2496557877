import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DmoermError } from '@dmoerm/core';
import { fuzz } from './fuzz/fuzz';
import { json } from './fuzz/mutate';
import { createTargets, type Target } from './fuzz/targets';

jest.setTimeout(120_000);
const INPUTS = 150;
const folder = mkdtempSync(join(tmpdir(), 'dmoerm-fuzz-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('readers of files take mutated ones or refuse them by name', async () => {
  for (const target of await createTargets(folder)) {
    const { findings, accepted, reasons } = await fuzz(target, 1, (inputs) => inputs >= INPUTS);
    expect([target.name, findings.map(({ problem }) => problem)]).toEqual([target.name, []]);
    // Inputs that all fail alike, or none at all, test nothing.
    expect(reasons).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(INPUTS);
  }
});

it.each([
  ['throws an error that is none of ours', (value: { n: number }) => value.n.toFixed(1)],
  ['never ends in time', ({ n }: { n: number }) => n === 7 || block(2_100)],
])('finds a reader that %s', async (_, parse) => {
  const target: Target = {
    name: 'planted',
    seeds: [Buffer.from('{"n": 7}')],
    mutate: json,
    read: async (bytes) => {
      const value = JSON.parse(bytes.toString()) as { n: number } | null;
      if (typeof value !== 'object' || value === null)
        throw new DmoermError({ code: 'DATA_LOSS', reason: 'X', message: 'x' });
      parse(value);
    },
  };
  const { findings } = await fuzz(target, 1, (inputs, seconds) => inputs >= 40 || seconds > 5);
  expect(findings.length).toBeGreaterThan(0);
});

function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
