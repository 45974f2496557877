import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { MetricsFile, type Metric } from './metrics';

const folder = mkdtempSync(join(tmpdir(), 'dmoerm-metrics-'));
afterAll(() => rmSync(folder, { recursive: true }));

const step = (n: number): Metric => ({
  type: 'step',
  unit: 'chat/logic',
  step: n,
  epoch: 0,
  loss: n / 4,
  gradient_norm: 2,
  learning_rate: 0.5,
  rows_per_second: 8,
  examples: 16,
});

/** Scalars of an event file: step and value by tag. */
function scalars(bytes: Buffer): Record<string, [number, number][]> {
  const found: Record<string, [number, number][]> = {};
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    const event = new BinaryReader(bytes.subarray(at + 12, at + 12 + length));
    at += 16 + length;
    let n = 0;
    while (event.pos < event.len) {
      const [field, type] = event.tag();
      if (field === 2) n = Number(event.int64());
      else if (field === 5)
        for (const end = event.uint32() + event.pos; event.pos < end;) {
          event.tag();
          event.uint32();
          event.tag();
          const name = event.string();
          event.tag();
          (found[name] ??= []).push([n, event.float()]);
        }
      else event.skip(type);
    }
  }
  return found;
}

it('goes on after what belongs to the state, in both files', () => {
  const before = new MetricsFile(folder, 0);
  before.add(step(1));
  const { bytes } = before;
  before.add({ ...step(2), loss: 99 });
  const after = new MetricsFile(folder, bytes);
  after.add(step(2));
  after.add({ type: 'valid', unit: 'chat/logic', step: 2, epoch: 0, loss: 0.25, accuracy: 0.75 });

  const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as Metric).loss)).toEqual([0.25, 0.5, 0.25]);
  const events = readFileSync(join(folder, 'events.out.tfevents.1'));
  expect(scalars(events)).toMatchObject({
    'chat/logic/loss': [
      [1, 0.25],
      [2, 0.5],
    ],
    'chat/logic/validation_accuracy': [[2, 0.75]],
  });
  // A record as TensorBoard reads it, checksums and all.
  expect(events.subarray(0, 31).toString('hex')).toBe(
    '0f000000000000006d532b091a0d627261696e2e4576656e743a32fc985129',
  );
});
