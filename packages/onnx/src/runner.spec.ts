import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeOnnx } from './encode';
import type { OnnxGraph } from './encode';
import { createOnnxRunner } from './runner';
import type { OnnxRunner } from './runner';

/** y = x W with x [N, 3] and W [3, 2]. */
const PRODUCT: OnnxGraph = {
  inputs: [{ name: 'x', type: 'float32', shape: ['N', 3] }],
  outputs: [{ name: 'y', type: 'float32', shape: ['N', 2] }],
  constants: { w: { type: 'float32', shape: [3, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6) } },
  nodes: [{ operator: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
};
const feed = (...data: number[]) => ({
  x: { type: 'float32' as const, shape: [data.length / 3, 3], data: Float32Array.from(data) },
});

describe('createOnnxRunner', () => {
  let directory: string;
  let path: string;
  let runner: OnnxRunner;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dmoerm-onnx-'));
    path = join(directory, 'product.onnx');
    await writeFile(path, encodeOnnx(PRODUCT));
    runner = createOnnxRunner();
  });
  afterAll(async () => {
    await runner[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  it('runs a written model once per feed, in order', async () => {
    const model = await runner.open(path);
    const outputs = await model.run([feed(1, 0, 0), feed(0, 1, 0, 0, 0, 1)]);
    expect(outputs.map(({ y }) => [y?.shape, Array.from(y?.data as Float32Array)])).toEqual([
      [
        [1, 2],
        [1, 2],
      ],
      [
        [2, 2],
        [3, 4, 5, 6],
      ],
    ]);
  });

  it('leaves the event loop free while it runs', async () => {
    const model = await runner.open(path);
    let turns = 0;
    const turn = setInterval(() => turns++, 0);
    const busy = model.run(Array.from({ length: 5000 }, () => feed(1, 2, 3)));
    await busy;
    clearInterval(turn);
    expect(turns).toBeGreaterThan(2);
  });

  it('says which file is no model', async () => {
    const garbage = join(directory, 'garbage.onnx');
    await writeFile(garbage, 'no protobuf');
    await expect(runner.open(garbage)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      reason: 'BAD_ONNX_MODEL',
      field: garbage,
    });
  });

  it('refuses a shape that the model does not take and goes on', async () => {
    const model = await runner.open(path);
    const wrong = { x: { type: 'float32' as const, shape: [1, 2], data: Float32Array.of(1, 2) } };
    await expect(model.run([wrong])).rejects.toMatchObject({ reason: 'ONNX_RUN_FAILED' });
    await expect(model.run([feed(1, 1, 1)])).resolves.toHaveLength(1);
  });

  it('refuses to run a closed model', async () => {
    const model = await runner.open(path);
    await model.close();
    await expect(model.run([feed(1, 1, 1)])).rejects.toMatchObject({ reason: 'ONNX_RUN_FAILED' });
  });

  it('fails what is asked after the end instead of waiting for ever', async () => {
    const other = createOnnxRunner();
    const model = await other.open(path);
    await other[Symbol.asyncDispose]();
    await expect(model.run([feed(1, 1, 1)])).rejects.toMatchObject({ reason: 'ONNX_WORKER_STOPPED' });
  });
});
