import { logger, tracer } from '@dmoerm/telemetry';
import { ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api';
import type { Context } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { Expert } from './expert';
import { createSpecModel } from './spec-model';

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });

beforeAll(() => {
  logger.level = 'silent';
  provider.register();
});
beforeEach(() => exporter.reset());
afterAll(() => provider.shutdown());

const spans = (name: string): ReadableSpan[] =>
  exporter.getFinishedSpans().filter((span) => span.name === name);
const prompt = 'a secret prompt';
const unsampled = trace.setSpanContext(ROOT_CONTEXT, {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  spanId: 'b7ad6b7169203331',
  traceFlags: TraceFlags.NONE,
});

/** The spans of calls that wait, two items each, while the batch of a first call is computed. */
async function evaluateTogether(parents: readonly Context[]): Promise<void> {
  const model = createSpecModel('r');
  let release = (): void => undefined;
  model.gate = new Promise((resolve) => (release = resolve));
  const expert = new Expert({ maxBatchTokens: 10_000, maxQueueTokens: 10_000 });
  const item = {
    prompt: { type: 'text', text: prompt },
    candidates: ['x'],
    truncation: 'reject',
    priority: 'normal',
  } as const;
  const call = (parent: Context) =>
    tracer.startActiveSpan('call', {}, parent, async (span) => {
      const caller = { client: 'one', signal: new AbortController().signal, deadline: null };
      await expert.evaluate(model, 'chat', [item, item], caller);
      span.end();
    });
  const first = call(ROOT_CONTEXT);
  while (model.calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const others = parents.map(call);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  release();
  await Promise.all([first, ...others]);
}

describe('the spans of the expert', () => {
  it('link each queue span with its forward pass, both ways, and hold no text', async () => {
    await evaluateTogether([ROOT_CONTEXT, ROOT_CONTEXT]);
    const [, shared] = spans('forward');
    const queued = spans('queue');
    expect(queued).toHaveLength(3);
    expect(shared?.parentSpanContext).toBeUndefined();
    expect(shared?.attributes).toMatchObject({
      'dmoerm.task': 'chat',
      'dmoerm.batch.size': 4,
      'dmoerm.revision': 'r',
    });
    const linked = shared?.links.map((link) => link.context.spanId) ?? [];
    expect(linked).toEqual(queued.slice(1).map((span) => span.spanContext().spanId));
    for (const span of queued.slice(1)) {
      expect(span.links.map((link) => link.context.spanId)).toEqual([shared?.spanContext().spanId]);
      expect(span.attributes['dmoerm.batch.span_id']).toBe(shared?.spanContext().spanId);
      expect(span.attributes['dmoerm.queue.wait_ms']).toBeGreaterThan(0);
      expect(span.parentSpanContext?.traceId).toBe(span.spanContext().traceId);
      expect(span.spanContext().traceId).not.toBe(shared?.spanContext().traceId);
    }
    const all = exporter
      .getFinishedSpans()
      .map(({ attributes, links, events }) => ({ attributes, links, events }));
    expect(JSON.stringify(all)).not.toContain('secret');
  });

  it('count the links beyond 128, and keep those whose other end is exported', async () => {
    await evaluateTogether([...Array.from({ length: 129 }, () => unsampled), ROOT_CONTEXT]);
    const [, shared] = spans('forward');
    const exported = spans('queue')[1];
    expect(shared?.attributes).toMatchObject({ 'dmoerm.batch.size': 260, 'dmoerm.batch.links_dropped': 2 });
    expect(shared?.links).toHaveLength(128);
    expect(shared?.links[0]?.context.spanId).toBe(exported?.spanContext().spanId);
    expect(exported?.links.map((link) => link.context.spanId)).toEqual([shared?.spanContext().spanId]);
  });
});
