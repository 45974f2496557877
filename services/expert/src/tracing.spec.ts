import { logger, tracer } from '@dmoerm/telemetry';
import { context, trace } from '@opentelemetry/api';
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
afterAll(() => provider.shutdown());

const spans = (name: string): ReadableSpan[] =>
  exporter.getFinishedSpans().filter((span) => span.name === name);
const prompt = 'a secret prompt';

describe('the spans of the expert', () => {
  it('link each queue span with its forward pass, both ways, and hold no text', async () => {
    const model = createSpecModel('r');
    let release = (): void => undefined;
    model.gate = new Promise((resolve) => (release = resolve));
    const expert = new Expert({ maxBatchTokens: 1000, maxQueueTokens: 1000 });
    const call = (name: string) =>
      tracer.startActiveSpan(name, async (span) => {
        const item = {
          prompt: { type: 'text', text: prompt },
          candidates: ['x'],
          truncation: 'reject',
          priority: 'normal',
        } as const;
        await expert.evaluate(model, 'chat', [item, item], {
          client: 'one',
          signal: new AbortController().signal,
          deadline: null,
        });
        span.end();
      });
    const first = context.with(trace.deleteSpan(context.active()), () => call('first'));
    while (model.calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const others = [call('second'), call('third')];
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    release();
    await Promise.all([first, ...others]);

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
});
