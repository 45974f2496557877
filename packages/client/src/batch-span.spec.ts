import { SpanKind, trace } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { withinBatchSpan } from './batch-span';

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = provider.getTracer('spec');

beforeAll(() => provider.register());
beforeEach(() => exporter.reset());
afterAll(() => provider.shutdown());

/** Makes the call for callers with so many spans, `items` of each. */
async function batchSpan(callers: number, items = 1): Promise<{ batch: ReadableSpan; ids: string[] }> {
  const spans = Array.from({ length: callers }, (_, i) => tracer.startSpan(`caller ${i}`));
  const contexts = spans.flatMap((span) => Array.from({ length: items }, () => span.spanContext()));
  await withinBatchSpan(contexts, async () => tracer.startSpan('call').end());
  const batch = exporter.getFinishedSpans().find(({ name }) => name === 'coalesce');
  const call = exporter.getFinishedSpans().find(({ name }) => name === 'call');
  expect(call?.parentSpanContext?.spanId).toBe(batch?.spanContext().spanId);
  return { batch: batch as ReadableSpan, ids: spans.map((span) => span.spanContext().spanId) };
}

describe('the span of a coalesced call', () => {
  it('is the child of its only caller, however many items that one sends', async () => {
    const { batch, ids } = await batchSpan(1, 3);
    expect([batch.kind, batch.parentSpanContext?.spanId, batch.links]).toEqual([
      SpanKind.INTERNAL,
      ids[0],
      [],
    ]);
    expect(batch.attributes).toMatchObject({ 'dmoerm.batch.size': 3, 'dmoerm.batch.links_dropped': 0 });
  });

  it('begins a trace of its own with a link to each of several callers', async () => {
    const { batch, ids } = await batchSpan(3);
    expect(batch.parentSpanContext).toBeUndefined();
    expect(batch.links.map(({ context }) => context.spanId)).toEqual(ids);
  });

  it('counts the links beyond 128', async () => {
    const { batch } = await batchSpan(130);
    expect(batch.links).toHaveLength(128);
    expect(batch.attributes).toMatchObject({ 'dmoerm.batch.links_dropped': 2 });
  });

  it('ends with the call, whatever became of it', async () => {
    await expect(withinBatchSpan([], () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(exporter.getFinishedSpans().map(({ name }) => name)).toEqual(['coalesce']);
    expect(trace.getActiveSpan()).toBeUndefined();
  });
});
