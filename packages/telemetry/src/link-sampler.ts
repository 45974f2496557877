import { TraceFlags } from '@opentelemetry/api';
import type { Attributes, Context, Link, SpanKind } from '@opentelemetry/api';
import { SamplingDecision } from '@opentelemetry/sdk-trace-node';
import type { Sampler, SamplingResult } from '@opentelemetry/sdk-trace-node';

/**
 * For spans without a parent. A batch is a trace of its own, but without it the traces of its calls are not whole: a span
 * that links to others is sampled exactly if one of those is. Everything else is up to the other sampler.
 */
export class LinkSampler implements Sampler {
  constructor(private readonly other: Sampler) {}

  shouldSample(
    parent: Context,
    traceId: string,
    name: string,
    kind: SpanKind,
    attributes: Attributes,
    links: Link[],
  ): SamplingResult {
    if (links.length === 0) return this.other.shouldSample(parent, traceId, name, kind, attributes, links);
    const { RECORD_AND_SAMPLED, NOT_RECORD } = SamplingDecision;
    return { decision: links.some(isSampled) ? RECORD_AND_SAMPLED : NOT_RECORD };
  }

  toString(): string {
    return `LinkSampler{${this.other.toString()}}`;
  }
}

function isSampled({ context }: Link): boolean {
  return (context.traceFlags & TraceFlags.SAMPLED) !== 0;
}
