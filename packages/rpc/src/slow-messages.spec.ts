import fc from 'fast-check';
import type { ServerHttp2Stream } from 'node:http2';
import { PassThrough } from 'node:stream';
import { limitMessageTime } from './slow-messages';

const LIMIT_MS = 1_000;

beforeEach(() => void jest.useFakeTimers({ doNotFake: ['nextTick'] }));
afterEach(() => void jest.useRealTimers());

function message(bytes: number): Buffer {
  const framed = Buffer.alloc(5 + bytes, 0xff);
  framed.writeUInt8(0);
  framed.writeUInt32BE(bytes, 1);
  return framed;
}

/** A stream that is read, and how often it was found late. */
function watched(): { stream: PassThrough; late: () => number } {
  const stream = new PassThrough();
  stream.resume();
  let late = 0;
  limitMessageTime(stream as unknown as ServerHttp2Stream, LIMIT_MS, () => late++);
  return { stream, late: () => late };
}

describe('limitMessageTime', () => {
  it('tells of a message that begins and does not end, wherever it stops and whatever came before', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(40), { maxLength: 4 }),
        fc.nat(40),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 40 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (whole, last, cuts, share) => {
          const { stream, late } = watched();
          const end = message(last);
          const bytes = Buffer.concat([
            ...whole.map(message),
            end.subarray(0, Math.floor(share * end.length)),
          ]);
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = cuts[i % cuts.length] ?? 1;
            stream.emit('data', bytes.subarray(at, at + size));
            at += size;
          }
          jest.advanceTimersByTime(LIMIT_MS);
          const rest = Math.floor(share * end.length);
          expect(late()).toBe(rest > 0 && rest < end.length ? 1 : 0);
        },
      ),
    );
  });

  it('counts from the start of the message, not from its last byte', () => {
    const { stream, late } = watched();
    for (const byte of message(20).subarray(0, 11)) {
      stream.emit('data', Buffer.from([byte]));
      jest.advanceTimersByTime(LIMIT_MS / 10);
    }
    expect(late()).toBe(1);
  });

  it('stands still while the server does not read', async () => {
    const { stream, late } = watched();
    stream.emit('data', message(20).subarray(0, 10));
    stream.pause();
    jest.advanceTimersByTime(10 * LIMIT_MS);
    expect(late()).toBe(0);
    stream.resume();
    await new Promise(process.nextTick);
    jest.advanceTimersByTime(LIMIT_MS);
    expect(late()).toBe(1);
  });
});
