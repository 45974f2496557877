import { connect as connectTcp } from 'node:net';
import { frame, rewardPath } from './raw-call';
import type { Mutator } from './mutate';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const [DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, , PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] =
  Array.from({ length: 10 }, (_, type) => type) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
const TYPES = [
  DATA,
  HEADERS,
  PRIORITY,
  RST_STREAM,
  SETTINGS,
  PING,
  GOAWAY,
  WINDOW_UPDATE,
  CONTINUATION,
  0x42,
];
const END_HEADERS = 4;
const END_STREAM = 1;

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** What the frame says of its length, if not the truth. */
  readonly length?: number;
}

/** The frames of a sound conversation: settings, one call, a ping, a window. */
function conversation(message: Uint8Array): Frame[] {
  const headers = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': rewardPath('Score'),
    ':authority': 'localhost',
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-timeout': '5S',
  };
  return [
    { type: SETTINGS, flags: 0, stream: 0, payload: Buffer.alloc(0) },
    {
      type: HEADERS,
      flags: END_HEADERS,
      stream: 1,
      payload: Buffer.concat(Object.entries(headers).map(literal)),
    },
    { type: PING, flags: 0, stream: 0, payload: Buffer.alloc(8) },
    { type: WINDOW_UPDATE, flags: 0, stream: 0, payload: Buffer.from([0, 1, 0, 0]) },
    { type: DATA, flags: END_STREAM, stream: 1, payload: frame(message) },
  ];
}

/** A header that is neither indexed nor compressed. */
function literal([name, value]: [string, string]): Buffer {
  const text = (one: string): Buffer => Buffer.concat([Buffer.from([one.length]), Buffer.from(one)]);
  return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
}

/** The bytes of a conversation in which frames have been changed. */
export function mutateFrames(message: Uint8Array, mutator: Mutator): Buffer {
  let frames = conversation(message);
  for (let changes = 1 + mutator.below(3); changes > 0; changes--) frames = change(frames, mutator);
  const bytes = Buffer.concat([PREFACE, ...frames.map(encode)]);
  return mutator.below(10) === 0 ? bytes.subarray(0, mutator.below(bytes.length)) : bytes;
}

function change(frames: readonly Frame[], mutator: Mutator): Frame[] {
  const at = mutator.below(frames.length);
  const one = frames[at];
  if (one === undefined) return [...frames];
  switch (mutator.below(9)) {
    case 0:
      return frames.toSpliced(at, 1);
    case 1:
      return frames.toSpliced(at, 0, ...Array.from({ length: 1 + mutator.below(200) }, () => one));
    case 2:
      return frames.with(at, { ...one, type: mutator.pick(TYPES) });
    case 3:
      return frames.with(at, { ...one, flags: mutator.below(256) });
    case 4:
      return frames.with(at, { ...one, stream: mutator.pick([0, 1, 2, 3, 0x7fff_ffff]) });
    case 5:
      return frames.with(at, { ...one, length: mutator.pick([0, 1, 5, 16_384, 16_385, 0xff_ffff]) });
    case 6:
      return frames.with(at, { ...one, payload: mutator.noise(mutator.below(64)) });
    case 7:
      return frames.toSpliced(at, 0, {
        type: mutator.pick(TYPES),
        flags: mutator.below(256),
        stream: mutator.below(4),
        payload: mutator.noise(mutator.below(32)),
      });
    default: {
      const payload = Buffer.from(one.payload);
      if (payload.length > 0) payload[mutator.below(payload.length)] = mutator.below(256);
      return frames.with(at, { ...one, payload });
    }
  }
}

function encode({ type, flags, stream, payload, length = payload.length }: Frame): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Sends the bytes on a connection of their own; resolves when the server has said something or closed it, or after `waitMs`. */
export function sendBytes(address: string, bytes: Buffer, waitMs: number): Promise<void> {
  const [host = '', port = ''] = address.split(':');
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port: Number(port) });
    const timer = setTimeout(() => socket.destroy(), waitMs);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
    socket.end(bytes);
  });
}
