import type { Link, ReceivedSpan } from '../faults/support/trace-sink';

type Value = Partial<
  Record<'stringValue' | 'boolValue' | 'intValue' | 'doubleValue', string | number | boolean>
>;
type Pairs = readonly { readonly key: string; readonly value?: Value }[];

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind?: number;
  readonly attributes?: Pairs;
  readonly links?: readonly {
    readonly spanId: string;
    readonly flags?: number;
    readonly attributes?: Pairs;
  }[];
}

interface Traces {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: Pairs };
    readonly scopeSpans?: readonly { readonly spans?: readonly Span[] }[];
  }[];
}

/** Spans of `TracesData` in OTLP's JSON. */
export function readTraces(traces: unknown): ReceivedSpan[] {
  return ((traces as Traces).resourceSpans ?? []).flatMap(({ resource, scopeSpans = [] }) => {
    const service = String(readAttributes(resource?.attributes)['service.name']);
    return scopeSpans.flatMap(({ spans = [] }) => spans.map((span) => readSpan(service, span)));
  });
}

function readSpan(service: string, span: Span): ReceivedSpan {
  return {
    service,
    traceId: span.traceId,
    spanId: span.spanId,
    parentId: span.parentSpanId ?? '',
    name: span.name,
    kind: span.kind ?? 0,
    attributes: readAttributes(span.attributes),
    links: (span.links ?? []).map((link): Link => ({
      spanId: link.spanId,
      isSampled: ((link.flags ?? 0) & 1) === 1,
      attributes: readAttributes(link.attributes),
    })),
  };
}

/** 64-bit integers are text in JSON. */
function readAttributes(pairs: Pairs = []): ReceivedSpan['attributes'] {
  return Object.fromEntries(
    pairs.map(({ key, value = {} }) => {
      const { intValue, stringValue, boolValue, doubleValue } = value;
      return [
        key,
        intValue === undefined ? (stringValue ?? boolValue ?? doubleValue ?? '') : Number(intValue),
      ];
    }),
  );
}
