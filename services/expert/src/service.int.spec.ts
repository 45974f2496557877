import { loadConfig } from '@dmoerm/config';
import { bundleV1, commonV1, expertV1 } from '@dmoerm/protos';
import { connect, fromStatus } from '@dmoerm/rpc';
import { fromTensor } from '@dmoerm/serving';
import type { Service } from '@dmoerm/serving';
import { logger, metrics } from '@dmoerm/telemetry';
import { EXPERT_CONFIG } from './config';
import { createExpertService } from './service';
import { HIDDEN_SIZE, MAX_TOKENS, POISON, createSpecModel } from './spec-model';
import type { SpecModel } from './spec-model';

const REVISION = 'a'.repeat(64);
const OTHER = 'b'.repeat(64);

interface Running extends AsyncDisposable {
  readonly models: Map<string, SpecModel>;
  readonly evaluate: (
    request: Partial<expertV1.EvaluateRequest>,
    options?: { timeoutMs?: number; signal?: AbortSignal },
  ) => Promise<expertV1.EvaluateResponse>;
  readonly bundles: ReturnType<typeof connectBundles>['call'];
}

const connectBundles = (target: string) => connect(bundleV1.BundleServiceService, { target });

async function run(...argv: string[]): Promise<Running> {
  const models = new Map<string, SpecModel>();
  const config = loadConfig(EXPERT_CONFIG, {
    argv: ['--bundle', REVISION, '--lame-duck-ms', '0', ...argv],
    env: {},
  });
  const service: Service = createExpertService(config, {
    open: async (reference) => ({ revision: reference, manifest: { name: 'spec' } }) as never,
    bytes: () => 1,
    prepare: async ({ revision }) => {
      const model = createSpecModel(revision);
      models.set(revision, model);
      return model;
    },
  });
  const { address } = await service.start();
  await service.ready();
  const client = connect(expertV1.ExpertServiceService, { target: address });
  const bundles = connectBundles(address);
  return {
    models,
    evaluate: (request, options) =>
      client.call.evaluate(
        { task: 'chat', revision: '', items: [], client: '', ...request },
        { timeoutMs: 5000, ...options },
      ),
    bundles: bundles.call,
    [Symbol.asyncDispose]: async () => {
      client.close();
      bundles.close();
      await service.stop();
    },
  };
}

const item = (prompt: string, ...candidates: string[]): expertV1.EvaluateItem => ({
  prompt: {
    $case: 'conversation',
    value: { messages: prompt === '' ? [] : [{ role: commonV1.Role.USER, content: prompt }] },
  },
  candidates,
  truncation: commonV1.Truncation.UNSPECIFIED,
  priority: commonV1.Priority.UNSPECIFIED,
});

/** Outcomes as words: `ok` or the error's reason. */
const outcomes = ({ results }: expertV1.EvaluateResponse): string[][] =>
  results.map(({ candidates }) =>
    candidates.map(({ outcome }) => (outcome?.$case === 'error' ? fromStatus(outcome.value).reason : 'ok')),
  );

const outputs = (response: expertV1.EvaluateResponse, i: number, c: number): expertV1.ExpertOutputs => {
  const outcome = response.results[i]?.candidates[c]?.outcome;
  if (outcome?.$case !== 'outputs') throw new Error('no outputs');
  return outcome.value;
};

beforeAll(() => {
  logger.level = 'silent';
});

describe('the expert service', () => {
  let expert: Running;
  beforeAll(async () => {
    expert = await run();
  });
  afterAll(() => expert[Symbol.asyncDispose]());

  it('answers with one embedding and one score per expert', async () => {
    const response = await expert.evaluate({ items: [item('Hello', 'Hi!', 'Go away')] });
    expect(response.capabilities).toEqual(['logic', 'tone']);
    const { embeddings, scores, tokenCount, truncated } = outputs(response, 0, 1);
    expect(fromTensor(embeddings, [2, HIDDEN_SIZE], 'embeddings')).toHaveLength(2 * HIDDEN_SIZE);
    expect(Array.from(fromTensor(scores, [2], 'scores')).every(Number.isFinite)).toBe(true);
    expect(tokenCount).toBe('HelloGo away'.length);
    expect(truncated).toBe(false);
    expect(response.digests?.heads).toBe('heads');
    expect(response.engineNs).toBeGreaterThan(0n);
  });

  it.each([
    ['an empty candidate', item('Hello', '', 'Hi'), [['EMPTY_CANDIDATE', 'ok']]],
    ['a candidate that is too long', item('Hello', 'x'.repeat(MAX_TOKENS), 'Hi'), [['TOO_LONG', 'ok']]],
    ['a candidate whose experts give NaN', item('Hello', POISON, 'Hi'), [['NON_FINITE', 'ok']]],
    ['a conversation without turns', item('', 'Hi'), [['EMPTY_CONVERSATION']]],
    ['candidates that are all empty', item('Hello', '', ''), [['EMPTY_CANDIDATE', 'EMPTY_CANDIDATE']]],
  ])('refuses %s and scores the others as ever', async (_, bad, expected) => {
    const good = item('Hello', 'Hi!');
    const response = await expert.evaluate({ items: [good, bad, good] });
    expect(outcomes(response)).toEqual([['ok'], ...expected, ['ok']]);
    const alone = await expert.evaluate({ items: [good] });
    expect(outputs(response, 2, 0)).toEqual(outputs(alone, 0, 0));
  });

  it('names the candidate at fault', async () => {
    const response = await expert.evaluate({ items: [item('Hello', 'Hi', '')] });
    const outcome = response.results[0]?.candidates[1]?.outcome;
    if (outcome?.$case !== 'error') throw new Error('no error');
    expect(fromStatus(outcome.value)).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'candidates[1]' });
  });

  it.each([
    ['an unknown task', { task: 'maths' }, { code: 'NOT_FOUND', reason: 'UNKNOWN_TASK' }],
    [
      'an unknown revision',
      { revision: OTHER },
      { code: 'FAILED_PRECONDITION', reason: 'REVISION_NOT_ACTIVE' },
    ],
    [
      'an item without a prompt',
      { items: [{ prompt: undefined, candidates: ['x'], truncation: 0, priority: 0 }] },
      { code: 'INVALID_ARGUMENT', reason: 'NO_PROMPT', field: 'items[0].prompt' },
    ],
    [
      'an enum value that does not exist',
      { items: [{ ...item('Hello', 'x'), truncation: 9 as commonV1.Truncation }] },
      { code: 'INVALID_ARGUMENT', reason: 'UNKNOWN_ENUM_VALUE' },
    ],
  ])('refuses a call with %s', async (_, request, expected) => {
    await expect(expert.evaluate(request)).rejects.toMatchObject(expected);
  });

  it('answers a call without items at once', async () => {
    expect((await expert.evaluate({})).results).toEqual([]);
  });
});

describe('the queue of the expert service', () => {
  it('packs waiting calls of any tasks into batches and computes one at a time', async () => {
    await using expert = await run('--max-batch-tokens', '20');
    const [model] = [...expert.models.values()] as [SpecModel];
    const gate = deferred();
    model.gate = gate.done;
    const first = expert.evaluate({ items: [item('12345', '12345')] });
    await until(() => model.calls.length === 1);
    const others = ['chat', 'qa', 'chat', 'chat'].map((task) =>
      expert.evaluate({ task, items: [item('12345', '12345')] }),
    );
    await allWaiting(5);
    expect(model.calls).toEqual(['chat:1']);
    gate.resolve();
    await Promise.all([first, ...others]);
    expect([...model.calls].sort()).toEqual(['chat:1', 'chat:1 qa:1', 'chat:2']);
  });

  it('refuses what does not fit with QUEUE_FULL and says when to come back', async () => {
    await using expert = await run('--max-queue-tokens', '30');
    const [model] = [...expert.models.values()] as [SpecModel];
    const gate = deferred();
    model.gate = gate.done;
    const calls = Array.from({ length: 4 }, () => expert.evaluate({ items: [item('12345', '12345')] }));
    const settled = Promise.allSettled(calls);
    // One is in the engine, two wait, the last finds the queue full.
    const refused = await Promise.race(
      calls.map((call) =>
        call.then(
          () => null,
          (error: unknown) => error,
        ),
      ),
    );
    expect(refused).toMatchObject({ code: 'RESOURCE_EXHAUSTED', reason: 'QUEUE_FULL', retryAfterMs: 50 });
    gate.resolve();
    expect((await settled).filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
  });

  it('drops an item whose client has gone before the forward pass', async () => {
    await using expert = await run();
    const [model] = [...expert.models.values()] as [SpecModel];
    const gate = deferred();
    model.gate = gate.done;
    const first = expert.evaluate({ items: [item('Hello', 'first')] });
    await until(() => model.calls.length === 1);
    const client = new AbortController();
    const gone = expert.evaluate({ task: 'qa', items: [item('Hello', 'gone')] }, { signal: client.signal });
    const late = expert.evaluate({ task: 'qa', items: [item('Hello', 'late')] }, { timeoutMs: 300 });
    const settled = Promise.allSettled([gone, late]);
    await allWaiting(3);
    client.abort();
    const [cancelled, expired] = await settled;
    expect(cancelled).toMatchObject({ reason: { code: 'CANCELLED' } });
    expect(expired).toMatchObject({ reason: { code: 'DEADLINE_EXCEEDED' } });
    // The callers know before the server does.
    await inFlight((calls) => calls === 1);
    // Their places are free before the next batch.
    expect((await metrics.queueItems.get()).values.map(({ value }) => value)).toEqual([0, 0]);
    gate.resolve();
    await first;
    await expert.evaluate({ items: [item('Hello', 'last')] });
    expect(model.calls).toEqual(['chat:1', 'chat:1']);
  });
});

it('stops a batch all of whose callers have gone', async () => {
  await using expert = await run();
  const [model] = [...expert.models.values()] as [SpecModel];
  const client = new AbortController();
  const stopped = new Promise((resolve) => (model.onAbort = () => resolve('stopped')));
  const gate = deferred();
  model.gate = gate.done;
  const gone = expert.evaluate({ items: [item('Hello', 'gone')] }, { signal: client.signal });
  await until(() => model.calls.length === 1);
  client.abort();
  await expect(gone).rejects.toMatchObject({ code: 'CANCELLED' });
  expect(await stopped).toBe('stopped');
  gate.resolve();
});

describe('the revisions of the expert service', () => {
  it('loads beside, activates and unloads while old requests keep theirs', async () => {
    await using expert = await run();
    const old = expert.models.get(REVISION) as SpecModel;
    const gate = deferred();
    old.gate = gate.done;
    const inFlight = expert.evaluate({ items: [item('Hello', 'Hi')] });
    await until(() => old.calls.length === 1);

    const { ACTIVE, LOADED } = bundleV1.Bundle_State;
    expect((await expert.bundles.loadBundle({ reference: OTHER, pinned: false })).bundle?.state).toBe(LOADED);
    expect((await expert.bundles.activateBundle({ revision: OTHER })).bundle?.state).toBe(ACTIVE);
    const { bundles } = await expert.bundles.listBundles({});
    expect(bundles.map(({ revision, state }) => [revision, state])).toEqual([
      [OTHER, ACTIVE],
      [REVISION, LOADED],
    ]);
    const unloaded = expert.bundles.unloadBundle({ revision: REVISION });
    expect((await expert.bundles.listBundles({})).bundles).toHaveLength(1);
    expect(old.disposed).toBe(false);
    gate.resolve();
    expect(outcomes(await inFlight)).toEqual([['ok']]);
    await unloaded;
    expect(old.disposed).toBe(true);

    await expect(expert.evaluate({ revision: REVISION })).rejects.toMatchObject({
      reason: 'REVISION_NOT_ACTIVE',
    });
    await expect(expert.bundles.unloadBundle({ revision: OTHER })).rejects.toMatchObject({
      reason: 'REVISION_ACTIVE',
    });
    await expect(expert.bundles.activateBundle({ revision: REVISION })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
    });
  });
});

/** A promise to be resolved from outside. */
function deferred(): { readonly done: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const done = new Promise<void>((settle) => (resolve = settle));
  return { done, resolve };
}

/** Lets the event loop turn until a condition holds; the test's own timeout is the bound. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits until the server's number of calls in flight satisfies a condition. */
async function inFlight(condition: (count: number) => boolean): Promise<void> {
  for (;;) {
    const { values } = await metrics.inflightRequests.get();
    if (condition(values[0]?.value ?? 0)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Waits until the server has counted `count` calls in flight, and has queued their items. */
async function allWaiting(count: number): Promise<void> {
  await inFlight((calls) => calls >= count);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
