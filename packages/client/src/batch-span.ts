import { ATTRIBUTES, tracer } from '@dmoerm/telemetry';
import { ROOT_CONTEXT, SpanKind, TraceFlags, context, trace } from '@opentelemetry/api';
import type { SpanContext } from '@opentelemetry/api';

/** Links beyond these would be dropped by the SDK anyway; they are counted instead, and those that somebody sees come first. */
const MAX_LINKS = 128;

/**
 * Runs a call that is made for many callers under a span `coalesce`. With one caller it is that one's child; with several it begins a
 * trace of its own with a link to each, as none of them is its parent.
 * @param callers spans of the items, some of them perhaps the same.
 */
export function withinBatchSpan<T>(callers: readonly SpanContext[], work: () => Promise<T>): Promise<T> {
  const bySpan = new Map(callers.map((caller) => [caller.spanId, caller]));
  const seenFirst = [...bySpan.values()].sort((a, b) => sampled(b) - sampled(a));
  const [only, another] = seenFirst;
  const parent =
    only !== undefined && another === undefined ? trace.setSpanContext(ROOT_CONTEXT, only) : ROOT_CONTEXT;
  const links =
    another === undefined ? [] : seenFirst.slice(0, MAX_LINKS).map((caller) => ({ context: caller }));
  const attributes = {
    [ATTRIBUTES.batchSize]: callers.length,
    [ATTRIBUTES.batchLinksDropped]: Math.max(0, seenFirst.length - MAX_LINKS),
  };
  const span = tracer.startSpan('coalesce', { kind: SpanKind.INTERNAL, links, attributes }, parent);
  return context.with(trace.setSpan(ROOT_CONTEXT, span), () => work().finally(() => span.end()));
}

function sampled({ traceFlags }: SpanContext): number {
  return traceFlags & TraceFlags.SAMPLED;
}
