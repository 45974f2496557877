import { DmoermError } from '@dmoerm/core';
import type { Metadata } from '@grpc/grpc-js';
import { setMaxListeners } from 'node:events';
import type { Identity } from './access';

/** Metadata key of the request id, the same on every hop. */
export const REQUEST_ID_KEY = 'x-request-id';

/**
 * What a handler knows of its call. Handed to the calls that it makes itself, it passes on deadline, cancellation and
 * request id: a call without it outlives its caller.
 */
export interface CallContext {
  /** Aborted when the caller has gone or the deadline has passed; its reason is a DmoermError that says which. */
  readonly signal: AbortSignal;
  /** When the caller stops waiting, epoch milliseconds; null: never. */
  readonly deadline: number | null;
  /** Names the request in logs and errors of every hop. */
  readonly requestId: string;
  /** Who calls; null where everybody may. */
  readonly identity: Identity | null;
  /** The connection that the call came over, as `address:port`: clients are told apart by it where they have no identity. */
  readonly peer: string;
}

const identities = new WeakMap<Metadata, Identity>();

/** Notes who makes the call with this metadata. */
export function setIdentity(metadata: Metadata, identity: Identity): void {
  identities.set(metadata, identity);
}

/** The side of grpc-js's server calls that a context needs. */
export interface IncomingCall {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getPeer(): string;
  getDeadline(): Date | number;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** The context of an incoming call. */
export function createContext(call: IncomingCall): CallContext {
  const deadline = Number(call.getDeadline());
  const controller = new AbortController();
  // Every call that a handler makes listens here; a stream's handler makes many at once.
  setMaxListeners(0, controller.signal);
  const abort = (): void => controller.abort(Date.now() >= deadline ? deadlineExceeded() : cancelled());
  if (call.cancelled) abort();
  call.on('cancelled', abort);
  return {
    signal: controller.signal,
    deadline: Number.isFinite(deadline) ? deadline : null,
    requestId: String(call.metadata.get(REQUEST_ID_KEY)[0] ?? ''),
    identity: identities.get(call.metadata) ?? null,
    peer: call.getPeer(),
  };
}

/** The error of a caller that has gone. */
export function cancelled(): DmoermError {
  return new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'the call was cancelled' });
}

/** The error of a deadline that has passed. */
export function deadlineExceeded(): DmoermError {
  return new DmoermError({
    code: 'DEADLINE_EXCEEDED',
    reason: 'DEADLINE_EXCEEDED',
    message: 'the deadline passed before the call was answered',
  });
}
