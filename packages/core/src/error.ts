/** The gRPC status codes by name; `OK` is never an error. */
export const CODES = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** Name of a gRPC status code. */
export type Code = keyof typeof CODES;

/** What a `DmoermError` says besides its message. */
export interface ErrorOptions {
  /** gRPC status code that the error becomes at an edge. */
  readonly code: Code;
  /** UPPER_SNAKE identifier of the cause, at most 63 characters; stable, for programs. */
  readonly reason: string;
  /** Sentence for people: what is wrong and what to do. Never prompt or response text. */
  readonly message: string;
  /** Path of the request or file field at fault, e.g. `items[3].candidates[1]`. */
  readonly field?: string;
  /** Every dynamic part of the message. Never prompt or response text. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** How long a client should wait before it tries again, milliseconds. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** The one error type of dmoerm. Domain code throws it; each edge converts it once (gRPC status, HTTP, exit code). */
export class DmoermError extends Error {
  override readonly name = 'DmoermError';
  readonly code: Code;
  readonly reason: string;
  readonly field: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | null;

  constructor(options: ErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.reason = options.reason;
    this.field = options.field ?? null;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  /** The same error with `prefix` put before its field path, e.g. `items[2]` + `candidates[0]`. */
  under(prefix: string): DmoermError {
    return this.at(this.field === null ? prefix : `${prefix}.${this.field}`);
  }

  /** The same error about another field, or none. */
  at(field: string | null): DmoermError {
    return new DmoermError({
      code: this.code,
      reason: this.reason,
      message: this.message,
      metadata: this.metadata,
      ...(field === null ? {} : { field }),
      ...(this.retryAfterMs === null ? {} : { retryAfterMs: this.retryAfterMs }),
      cause: this.cause,
    });
  }

  /** `error` itself if it is a `DmoermError`, else an INTERNAL one that wraps it: only bugs end there. */
  static from(error: unknown): DmoermError {
    if (error instanceof DmoermError) return error;
    return new DmoermError({
      code: 'INTERNAL',
      reason: 'UNEXPECTED',
      message: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
}

/** An INVALID_ARGUMENT error about `field`. */
export function invalidArgument(field: string, reason: string, message: string): DmoermError {
  return new DmoermError({ code: 'INVALID_ARGUMENT', reason, message, field });
}

/** A DATA_LOSS error: a file is not what its format or digest says. `field` is the file's path, then the part of it. */
export function corrupt(field: string, reason: string, message: string): DmoermError {
  return new DmoermError({ code: 'DATA_LOSS', reason, message, field });
}
