import { ATTRIBUTES, metrics, tracer } from '@dmoerm/telemetry';
import { ROOT_CONTEXT, SpanKind, TraceFlags } from '@opentelemetry/api';
import type { Span } from '@opentelemetry/api';

/** Links beyond these would be dropped by the SDK anyway; they are counted instead, and those that somebody sees come first. */
const MAX_LINKS = 128;
const NS_PER_MS = 1e6;
const NS_PER_S = 1e9;

/** A call whose items wait for the engine: its queue span, and how long the last of them waited. */
export class PendingCall {
  private readonly since = process.hrtime.bigint();
  private readonly span: Span;
  private waiting: number;
  private waitedNs = 0;

  /** @param items Items that will wait; each must come back through `taken` or `dropped`. */
  constructor(
    readonly task: string,
    items: number,
  ) {
    this.waiting = items;
    this.span = tracer.startSpan('queue', {
      kind: SpanKind.INTERNAL,
      attributes: { [ATTRIBUTES.task]: task },
    });
    if (items === 0) this.span.end();
  }

  /** The longest wait of the call's items so far, nanoseconds. */
  get queueNs(): number {
    return this.waitedNs;
  }

  get spanContext() {
    return this.span.spanContext();
  }

  /** Whether its trace is exported. */
  get isSampled(): boolean {
    return (this.spanContext.traceFlags & TraceFlags.SAMPLED) !== 0;
  }

  /** `items` of the call go into the batch of the span `forward`. */
  taken(items: number, forward: Span): void {
    this.waitedNs = Number(process.hrtime.bigint() - this.since);
    for (let i = 0; i < items; i++)
      metrics.queueWaitSeconds.observe({ task: this.task }, this.waitedNs / NS_PER_S);
    const context = forward.spanContext();
    this.span.addLink({ context, attributes: { [ATTRIBUTES.batchSize]: items } });
    this.span.setAttribute(ATTRIBUTES.batchSpanId, context.spanId);
    this.leave(items);
  }

  /** An item of the call left the queue without a batch. */
  dropped(): void {
    this.waitedNs = Number(process.hrtime.bigint() - this.since);
    this.leave(1);
  }

  private leave(items: number): void {
    this.waiting -= items;
    if (this.waiting > 0) return;
    this.span.setAttribute(ATTRIBUTES.queueWaitMs, this.waitedNs / NS_PER_MS);
    this.span.end();
  }
}

/** What a forward pass computes. */
export interface ForwardOf {
  readonly tasks: readonly string[];
  readonly revision: string;
  readonly tokens: number;
  /** Items of each call in the batch. */
  readonly calls: ReadonlyMap<PendingCall, number>;
}

/** Starts the span of a batch: a trace of its own, linked with the queue span of each call both ways. */
export function startForwardSpan({ tasks, revision, tokens, calls }: ForwardOf): Span {
  const seenFirst = [...calls].sort(([a], [b]) => Number(b.isSampled) - Number(a.isSampled));
  const links = seenFirst.slice(0, MAX_LINKS).map(([call, items]) => ({
    context: call.spanContext,
    attributes: { [ATTRIBUTES.task]: call.task, [ATTRIBUTES.batchSize]: items },
  }));
  const items = [...calls.values()].reduce((sum, count) => sum + count, 0);
  const span = tracer.startSpan(
    'forward',
    {
      kind: SpanKind.INTERNAL,
      links,
      attributes: {
        [ATTRIBUTES.task]: [...tasks].sort().join(','),
        [ATTRIBUTES.revision]: revision,
        [ATTRIBUTES.batchSize]: items,
        [ATTRIBUTES.batchTokens]: tokens,
        [ATTRIBUTES.usageInputTokens]: tokens,
        [ATTRIBUTES.batchLinksDropped]: calls.size - links.length,
      },
    },
    ROOT_CONTEXT,
  );
  for (const [call, count] of calls) call.taken(count, span);
  return span;
}
