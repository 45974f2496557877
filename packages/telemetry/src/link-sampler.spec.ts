import { ROOT_CONTEXT, SpanKind, TraceFlags } from '@opentelemetry/api';
import type { Link } from '@opentelemetry/api';
import { AlwaysOffSampler, AlwaysOnSampler, SamplingDecision } from '@opentelemetry/sdk-trace-node';
import { LinkSampler } from './link-sampler';

const { RECORD_AND_SAMPLED, NOT_RECORD } = SamplingDecision;
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';

const link = (traceFlags: TraceFlags): Link => ({
  context: { traceId: TRACE_ID, spanId: 'b7ad6b7169203331', traceFlags },
});
const sampled = link(TraceFlags.SAMPLED);
const unsampled = link(TraceFlags.NONE);

it.each([
  [
    'one of its links is, whatever others say',
    new AlwaysOffSampler(),
    [unsampled, sampled],
    RECORD_AND_SAMPLED,
  ],
  ['not if none of its links is', new AlwaysOnSampler(), [unsampled, unsampled], NOT_RECORD],
  ['without links as the other sampler says: yes', new AlwaysOnSampler(), [], RECORD_AND_SAMPLED],
  ['without links as the other sampler says: no', new AlwaysOffSampler(), [], NOT_RECORD],
])('a span is sampled if %s', (_, other, links, decision) => {
  const sampler = new LinkSampler(other);
  const result = sampler.shouldSample(ROOT_CONTEXT, TRACE_ID, 'forward', SpanKind.INTERNAL, {}, links);
  expect(result.decision).toBe(decision);
});
