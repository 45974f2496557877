import { CODES, DmoermError } from '@dmoerm/core';
import type { Code } from '@dmoerm/core';
import { errorDetails, googleRpc } from '@dmoerm/protos';

const { BadRequest, ErrorInfo, RequestInfo, RetryInfo } = errorDetails;
type Status = googleRpc.Status;

/** Domain of dmoerm's reasons in `google.rpc.ErrorInfo`. */
export const ERROR_DOMAIN = 'dmoerm';

/** Peers drop responses whose headers exceed 8 KiB; details travel there in base64. */
const MAX_DETAILS_BYTES = 4096;
/** As a header, a message grows to three times its size when it is not ASCII. */
const MAX_MESSAGE_BYTES = 512;
const MAX_FIELD_BYTES = 256;
const TYPE_PREFIX = 'type.googleapis.com/google.rpc.';

/**
 * A domain error as `google.rpc.Status`, for a call or for one item in a response: ErrorInfo always, BadRequest if a
 * field is at fault, RetryInfo if waiting helps, RequestInfo if the id is given. The encoded status is below 4 KiB;
 * metadata that does not fit is left out. The text of an error that nobody foresaw may quote user data: it is replaced.
 */
export function toStatus(error: DmoermError, requestId?: string): Status {
  const { reason, field, retryAfterMs, metadata } = error;
  const message = clip(
    reason === 'UNEXPECTED' ? unexpectedMessage(requestId) : error.message,
    MAX_MESSAGE_BYTES,
  );
  const details = [
    detail('ErrorInfo', ErrorInfo.encode({ reason, domain: ERROR_DOMAIN, metadata: { ...metadata } })),
  ];
  if (field !== null) {
    const violation = {
      field: clip(field, MAX_FIELD_BYTES),
      description: message,
      reason,
      localizedMessage: undefined,
    };
    details.push(detail('BadRequest', BadRequest.encode({ fieldViolations: [violation] })));
  }
  if (retryAfterMs !== null) {
    const seconds = BigInt(Math.trunc(retryAfterMs / 1e3));
    const nanos = Math.trunc((retryAfterMs % 1e3) * 1e6);
    details.push(detail('RetryInfo', RetryInfo.encode({ retryDelay: { seconds, nanos } })));
  }
  if (requestId !== undefined) {
    details.push(detail('RequestInfo', RequestInfo.encode({ requestId, servingData: '' })));
  }
  const status = { code: CODES[error.code], message, details };
  if (
    Object.keys(metadata).length > 0 &&
    googleRpc.Status.encode(status).finish().length > MAX_DETAILS_BYTES
  ) {
    details[0] = detail('ErrorInfo', ErrorInfo.encode({ reason, domain: ERROR_DOMAIN, metadata: {} }));
  }
  return status;
}

/** The domain error that a status tells of. Details of foreign services are read too; without any, code is the reason. */
export function fromStatus(status: Status): DmoermError {
  const code = codeName(status.code);
  const info = find(status, 'ErrorInfo', ErrorInfo);
  const field = find(status, 'BadRequest', BadRequest)?.fieldViolations[0]?.field;
  const delay = find(status, 'RetryInfo', RetryInfo)?.retryDelay;
  return new DmoermError({
    code,
    reason: info?.reason || code,
    message: status.message,
    metadata: info?.metadata ?? {},
    ...(field === undefined ? {} : { field }),
    ...(delay === undefined ? {} : { retryAfterMs: Number(delay.seconds) * 1e3 + delay.nanos / 1e6 }),
  });
}

const NAMES = new Map<number, Code>(Object.entries(CODES).map(([name, number]) => [number, name as Code]));

/** Name of a status code other than OK; UNKNOWN for a number that gRPC does not have. */
export function codeName(code: number): Code {
  return NAMES.get(code) ?? 'UNKNOWN';
}

function unexpectedMessage(requestId: string | undefined): string {
  return requestId === undefined
    ? 'internal error'
    : `internal error; the log of request ${requestId} says more`;
}

function detail(type: string, writer: { finish(): Uint8Array }): Status['details'][number] {
  return { typeUrl: TYPE_PREFIX + type, value: Buffer.from(writer.finish()) };
}

function find<T>(status: Status, type: string, codec: { decode(bytes: Uint8Array): T }): T | undefined {
  const any = status.details.find(({ typeUrl }) => typeUrl === TYPE_PREFIX + type);
  return any && codec.decode(any.value);
}

/** The longest prefix of at most `bytes` bytes, as well-formed Unicode (grpc-js throws on lone surrogates). */
function clip(text: string, bytes: number): string {
  const encoded = Buffer.from(text);
  if (encoded.length <= bytes) return encoded.toString();
  return encoded
    .subarray(0, bytes)
    .toString()
    .replace(/\ufffd$/, '');
}
