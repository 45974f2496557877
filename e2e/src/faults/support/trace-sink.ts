import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { DEFAULT_LIMITS, bindService, startServer } from '@dmoerm/rpc';
import type { Definition } from '@dmoerm/rpc';

/** Kinds of OTLP's enumeration. */
export const KIND = { internal: 1, server: 2, client: 3 } as const;

/** A span as it came over the wire; ids in hexadecimal. */
export interface ReceivedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root of a trace. */
  readonly parentId: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: Attributes;
  readonly links: readonly Link[];
}

/** A link to another span. */
export interface Link {
  readonly spanId: string;
  /** Whether the other end is exported. */
  readonly isSampled: boolean;
  readonly attributes: Attributes;
}

type Attributes = Readonly<Record<string, string | number | boolean>>;

/** A collector on the loopback device that keeps what it gets. */
export interface TraceSink extends AsyncDisposable {
  /** For `--otlp-endpoint`. */
  readonly endpoint: string;
  /** Everything that has come so far. */
  spans(): ReceivedSpan[];
}

/** Of `opentelemetry.proto.collector.trace.v1`; requests stay bytes until somebody looks at them. */
const TRACE_SERVICE = {
  export: {
    path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
} as const satisfies Definition;

/** Starts a sink. */
export async function startTraceSink(): Promise<TraceSink> {
  const requests: Buffer[] = [];
  const service = bindService(TRACE_SERVICE, {
    export: async (bytes) => {
      requests.push(Buffer.from(bytes));
      return Buffer.alloc(0);
    },
  });
  const server = await startServer({
    address: '127.0.0.1:0',
    services: [service],
    healthServices: [],
    reflection: false,
    limits: { ...DEFAULT_LIMITS, maxMessageBytes: 1 << 26 },
    drain: { lameDuckMs: 0, graceMs: 3000 },
  });
  return {
    endpoint: `http://${server.address}`,
    spans: () => requests.flatMap(readRequest),
    [Symbol.asyncDispose]: async () => {
      await server.drain();
    },
  };
}

/** ExportTraceServiceRequest { resource_spans 1 { resource 1 { attributes 1 }, scope_spans 2 { spans 2 } } } */
function readRequest(bytes: Uint8Array): ReceivedSpan[] {
  return children(bytes, 1).flatMap((resourceSpans) => {
    const resource = readAttributes(children(children(resourceSpans, 1)[0] ?? new Uint8Array(), 1));
    const service = String(resource['service.name']);
    return children(resourceSpans, 2)
      .flatMap((scopeSpans) => children(scopeSpans, 2))
      .map((span) => ({ service, ...readSpan(span) }));
  });
}

/** Span { trace_id 1, span_id 2, parent_span_id 4, name 5, kind 6, attributes 9, links 13 { span_id 2, attributes 4, flags 6 } } */
function readSpan(bytes: Uint8Array): Omit<ReceivedSpan, 'service'> {
  const id = (of: Uint8Array, field: number): string =>
    Buffer.from(children(of, field)[0] ?? []).toString('hex');
  return {
    traceId: id(bytes, 1),
    spanId: id(bytes, 2),
    parentId: id(bytes, 4),
    name: Buffer.from(children(bytes, 5)[0] ?? []).toString(),
    kind: number(bytes, 6, (reader) => reader.int32()),
    attributes: readAttributes(children(bytes, 9)),
    links: children(bytes, 13).map((link) => ({
      spanId: id(link, 2),
      isSampled: (number(link, 6, (reader) => reader.fixed32()) & 1) === 1,
      attributes: readAttributes(children(link, 4)),
    })),
  };
}

/** KeyValue { key 1, value 2 { string 1, bool 2, int 3, double 4 } } */
function readAttributes(pairs: readonly Uint8Array[]): Attributes {
  return Object.fromEntries(
    pairs.map((pair) => {
      const value = new BinaryReader(children(pair, 2)[0] ?? new Uint8Array());
      const [field] = value.tag();
      const key = Buffer.from(children(pair, 1)[0] ?? []).toString();
      if (field === 2) return [key, value.bool()];
      if (field === 3) return [key, Number(value.int64())];
      return [key, field === 4 ? value.double() : value.string()];
    }),
  );
}

/** A number of a message, 0 if it is not there. */
function number(bytes: Uint8Array, wanted: number, read: (reader: BinaryReader) => number): number {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === wanted) return read(reader);
    reader.skip(type);
  }
  return 0;
}

/** The length-delimited fields of a message with this number. */
function children(bytes: Uint8Array, wanted: number): Uint8Array[] {
  const reader = new BinaryReader(bytes);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === wanted && type === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(type);
  }
  return found;
}
