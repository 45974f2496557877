import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type SecureClientSessionOptions,
} from 'node:http2';

/** Path of a method of the reward service. */
export const rewardPath = (method: string): string => `/dmoerm.reward.v1.RewardService/${method}`;

/** How a call beneath gRPC ended: a gRPC status, `closed` if stream or connection was closed without one, or not at all. */
export interface RawAnswer {
  readonly status: number | 'closed' | 'hang';
  /** The messages that came, in their frames. */
  readonly body: Buffer;
  /** From the first byte of the request, milliseconds. */
  readonly ms: number;
}

/** An HTTP/2 connection of a client that keeps no rules. */
export function openSession(
  address: string,
  options: SecureClientSessionOptions = {},
  scheme = 'http',
): ClientHttp2Session {
  const session = connect(`${scheme}://${address}`, options);
  session.on('error', () => undefined);
  return session;
}

/** Opens a call and leaves it to the caller what to send. */
export function openCall(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => undefined);
  return stream;
}

/** The answer to an open call; none within `timeoutMs` counts as a hang. */
export function answerOf(stream: ClientHttp2Stream, timeoutMs: number): Promise<RawAnswer> {
  const begin = performance.now();
  return new Promise((resolve) => {
    const timer = setTimeout(() => end('hang'), timeoutMs);
    const chunks: Buffer[] = [];
    const note = (headers: Record<string, unknown>): void => {
      if (headers['grpc-status'] !== undefined) end(Number(headers['grpc-status']));
    };
    const end = (status: RawAnswer['status']): void => {
      clearTimeout(timer);
      resolve({ status, body: Buffer.concat(chunks), ms: performance.now() - begin });
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('close', () => end('closed'));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  });
}

/** One message in gRPC's frame. */
export function frame(body: Uint8Array, compressed = false): Buffer {
  const head = prefix(body.length);
  head.writeUInt8(compressed ? 1 : 0, 0);
  return Buffer.concat([head, body]);
}

/** The start of a message that says to be `length` bytes long. */
export function prefix(length: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 1);
  return head;
}
