import { context, isSpanContextValid, propagation, trace } from '@opentelemetry/api';
import type { Context, SpanContext, TextMapGetter, TextMapSetter } from '@opentelemetry/api';
import type { Metadata } from '@grpc/grpc-js';

/** Metadata key in which a server finds how often the call was tried before. */
export const PREVIOUS_ATTEMPTS_KEY = 'grpc-previous-rpc-attempts';
/** Metadata key in which OpenCensus, and gRPC with it, names the caller's span; taken and never sent. */
const TRACE_BIN_KEY = 'grpc-trace-bin';

/** Writes W3C trace context into gRPC metadata. */
export const metadataSetter: TextMapSetter<Metadata> = {
  set: (metadata, key, value) => metadata.set(key, value),
};

const metadataGetter: TextMapGetter<Metadata> = {
  keys: (metadata) => Object.keys(metadata.getMap()),
  get: (metadata, key) => metadata.get(key).map(String),
};

/** The context of the caller's span: W3C trace context or, where there is none, `grpc-trace-bin`. */
export function parentOf(metadata: Metadata): Context {
  const parent = propagation.extract(context.active(), metadata, metadataGetter);
  if (trace.getSpanContext(parent) !== undefined) return parent;
  const [bytes] = metadata.get(TRACE_BIN_KEY);
  const caller = bytes instanceof Buffer ? readTraceBin(bytes) : null;
  return caller === null ? parent : trace.setSpanContext(parent, caller);
}

/** Version 0, then field 0: 16 bytes of trace id, field 1: 8 bytes of span id, field 2: a byte of flags. */
function readTraceBin(bytes: Buffer): SpanContext | null {
  if (bytes.length < 29 || bytes[0] !== 0 || bytes[1] !== 0 || bytes[18] !== 1 || bytes[27] !== 2)
    return null;
  const caller = {
    traceId: bytes.toString('hex', 2, 18),
    spanId: bytes.toString('hex', 19, 27),
    traceFlags: bytes.readUInt8(28) & 1,
    isRemote: true,
  };
  return isSpanContextValid(caller) ? caller : null;
}
