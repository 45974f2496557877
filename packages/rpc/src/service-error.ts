import { DmoermError } from '@dmoerm/core';
import { googleRpc } from '@dmoerm/protos';
import { Metadata } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { codeName, fromStatus, toStatus } from './status';

const DETAILS_KEY = 'grpc-status-details-bin';
const PUSHBACK_KEY = 'grpc-retry-pushback-ms';

/** Errors of calls that this process made: their retries are used up. */
const retried = new WeakSet<DmoermError>();

/** What grpc-js sends when a call fails. */
export interface FailureStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/**
 * The status of a failed call. UNAVAILABLE that comes from our own failed call forbids the caller to retry: one layer
 * retries one failure, or the attempts multiply.
 */
export function toFailure(error: DmoermError, requestId: string): FailureStatus {
  const status = toStatus(error, requestId);
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(googleRpc.Status.encode(status).finish()));
  if (error.code === 'UNAVAILABLE' && wasRetried(error)) metadata.set(PUSHBACK_KEY, '-1');
  return { code: status.code, details: status.message, metadata };
}

/** Whether a status carries details of our error model already. */
export function hasDetails(metadata: Metadata | null | undefined): boolean {
  return metadata != null && metadata.get(DETAILS_KEY).length > 0;
}

/** The domain error of a failed call of our own. */
export function fromServiceError(error: ServiceError): DmoermError {
  const result = decode(error);
  retried.add(result);
  return result;
}

function decode(error: ServiceError): DmoermError {
  const [bytes] = error.metadata?.get(DETAILS_KEY) ?? [];
  if (Buffer.isBuffer(bytes)) {
    try {
      const status = googleRpc.Status.decode(bytes);
      // Code and message of the status proper win: proxies may have changed them.
      return fromStatus({ ...status, code: error.code, message: error.details });
    } catch {
      // Unreadable details are as good as none.
    }
  }
  const code = endedWithoutStatus(error) ? 'UNAVAILABLE' : codeName(error.code);
  return new DmoermError({ code, reason: code, message: error.details });
}

/**
 * Whether a call ended before any server said how: its stream was closed without a status (code 0), as Node does to one that comes in the
 * very moment in which a connection is closed, or broke (code 2), as for a write to a connection that is gone, or could not be begun. grpc-js calls
 * all of that INTERNAL, but nobody's handler failed.
 */
export function endedWithoutStatus({ code, details, metadata }: ServiceError): boolean {
  const closed = /^Received RST_STREAM with code [02] |^Failed to start HTTP\/2 stream /.test(details);
  return closed && codeName(code) === 'INTERNAL' && !hasDetails(metadata);
}

function wasRetried(error: DmoermError): boolean {
  for (let at: unknown = error; at instanceof DmoermError; at = at.cause) if (retried.has(at)) return true;
  return false;
}
