import { DmoermError } from '@dmoerm/core';
import { trace } from '@opentelemetry/api';
import { destination, pino } from 'pino';
import { identity } from './identity';

/**
 * An error as a log may show it. The text of a foreign error can quote what it choked on (a JSON parser does), and that
 * may be a prompt: only its class and stack frames are kept.
 */
export function describeError(error: unknown): Record<string, unknown> {
  if (error instanceof DmoermError) {
    const { code, reason, field, metadata, cause } = error;
    const message = reason === 'UNEXPECTED' ? 'unexpected error' : error.message;
    return {
      code,
      reason,
      message,
      field,
      metadata,
      ...(cause === undefined ? {} : { cause: describeError(cause) }),
    };
  }
  if (!(error instanceof Error)) return { name: typeof error };
  // A stack starts with the message, which may itself look like frames.
  const { stack = '', message } = error;
  const start = stack.indexOf(message);
  const frames =
    start < 0
      ? []
      : stack
          .slice(start + message.length)
          .split('\n')
          .slice(1);
  return { name: error.name, stack: frames.map((line) => line.trim()) };
}

const stderr = destination({ fd: 2, sync: true });
// A full disk behind standard error costs log lines, not the service.
stderr.on('error', () => undefined);

/** The log of this process: JSON lines on stderr with the service's name and, inside a call, its trace and span id. */
export const logger = pino(
  {
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: describeError },
    mixin: () => {
      const span = trace.getActiveSpan()?.spanContext();
      return { service: identity.service, ...(span && { trace_id: span.traceId, span_id: span.spanId }) };
    },
  },
  stderr,
);
