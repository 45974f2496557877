import { goldenAdapter, goldenBase } from '@dmoerm/testing';
import { openAdapter, openBase } from '@dmoerm/weights';
import { createEngine, type Engine, type TaskHandle } from './engine';

/** Rows of one conversation of the batches below. */
const PROMPT = 10;
const CANDIDATE = 30;

describe('memory of activations', () => {
  async function open(maxRows: number): Promise<{ engine: Engine; task: TaskHandle }> {
    const base = await openBase(goldenBase('llama'));
    const engine = await createEngine(base, { threads: 1, maxRows });
    const weight = new Float32Array(base.config.hiddenSize).fill(1);
    const experts = ['qv', 'all-linear', 'rank3', 'qv'].map(async (name) => ({
      adapter: await openAdapter(goldenAdapter(name), base.config),
      invocationTokens: [],
      head: { weight, bias: 0 },
    }));
    const task = await engine.addTask({
      plan: { type: 'full' },
      taskAdapter: null,
      experts: await Promise.all(experts),
    });
    return { engine, task };
  }

  /** Bytes after a batch of `conversations`, each with a prompt of its own. */
  async function workspaceAfter(maxRows: number, conversations: number): Promise<number> {
    const { engine, task } = await open(maxRows);
    const tokens = (count: number, seed: number) =>
      Int32Array.from({ length: count }, (_, i) => 20 + ((i * 7 + seed) % 200));
    const batch = {
      task,
      prompts: Array.from({ length: conversations }, (_, n) => tokens(PROMPT, n)),
      candidates: Array.from({ length: conversations }, (_, n) => ({
        prompt: n,
        tokens: tokens(CANDIDATE, 3 * n),
      })),
    };
    await engine.evaluate([batch]);
    const { workspaceBytes } = await engine.memory();
    await engine[Symbol.asyncDispose]();
    return workspaceBytes;
  }

  it('stays the same however large the batch is, once it is full', async () => {
    const rows = 2 * (PROMPT + CANDIDATE);
    const full = await workspaceAfter(rows, 2);
    expect(await workspaceAfter(rows, 100)).toBeLessThanOrEqual(full);
    // Without the bound it grows: the batch is large enough to tell.
    expect(await workspaceAfter(1_000_000, 100)).toBeGreaterThan(20 * full);
  });

  it('grows with maxRows by no more than a row and its copies need', async () => {
    const perRow = ((await workspaceAfter(4000, 100)) - (await workspaceAfter(2000, 100))) / 2000;
    // Hidden states, queries, keys, values, attended rows, their packed forms and what experts fork from: about 40 floats per
    // hidden coordinate of this base (d 64, as many query coordinates, half as many keys and values).
    const { hiddenSize } = (await openBase(goldenBase('llama'))).config;
    expect(perRow).toBeGreaterThan(0);
    expect(perRow).toBeLessThan(40 * 4 * hiddenSize);
  });

  it('an adapter costs its own bytes', async () => {
    const { engine, task } = await open(1000);
    const before = (await engine.memory()).taskBytes;
    await engine.removeTask(task);
    expect((await engine.memory()).taskBytes).toBe(0);
    expect(before).toBeGreaterThan(0);
    await engine[Symbol.asyncDispose]();
  });
});
