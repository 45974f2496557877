import { corrupt, type DmoermError } from '@dmoerm/core';
import type { OpenFile } from './file';

/** Bytes read at once. */
const WINDOW = 2 ** 20;
/** Most bytes of one string: chat templates have some 10 KB. */
const MAX_STRING_BYTES = 16 * 2 ** 20;
/** Most bytes of a whole header: a vocabulary of 250,000 tokens with merges takes some 10 MB. */
const MAX_HEADER_BYTES = 256 * 2 ** 20;

/** Reads little-endian values one after the other; every length is checked against the file before it is believed. */
export class GgufCursor {
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;
  /** Next byte to read. */
  position = 0;

  constructor(readonly file: OpenFile) {}

  u8(): number {
    const at = this.#take(1);
    return this.#window.readUInt8(at);
  }
  i8(): number {
    const at = this.#take(1);
    return this.#window.readInt8(at);
  }
  u16(): number {
    const at = this.#take(2);
    return this.#window.readUInt16LE(at);
  }
  i16(): number {
    const at = this.#take(2);
    return this.#window.readInt16LE(at);
  }
  u32(): number {
    const at = this.#take(4);
    return this.#window.readUInt32LE(at);
  }
  i32(): number {
    const at = this.#take(4);
    return this.#window.readInt32LE(at);
  }
  f32(): number {
    const at = this.#take(4);
    return this.#window.readFloatLE(at);
  }
  f64(): number {
    const at = this.#take(8);
    return this.#window.readDoubleLE(at);
  }
  u64(): bigint {
    const at = this.#take(8);
    return this.#window.readBigUInt64LE(at);
  }
  i64(): bigint {
    const at = this.#take(8);
    return this.#window.readBigInt64LE(at);
  }

  string(): string {
    const length = this.count('string length', MAX_STRING_BYTES, 1);
    const at = this.#take(length);
    return this.#window.toString('utf8', at, at + length);
  }

  /** A u64 that counts things of at least `minBytes` each, all of which must fit into the rest of the file. */
  count(what: string, most: number, minBytes: number): number {
    const claimed = this.u64();
    const possible = Math.min(most, Math.floor((this.file.size - this.position) / minBytes));
    if (claimed > BigInt(possible))
      throw this.error('BAD_COUNT', `${what} ${claimed} is impossible here; at most ${possible}`);
    return Number(claimed);
  }

  /** A DATA_LOSS error at the current position. */
  error(reason: string, message: string): DmoermError {
    return corrupt(this.file.path, reason, `${this.file.path}, byte ${this.position}: ${message}`);
  }

  /** Moves on by `length` bytes and gives where they start in the window. */
  #take(length: number): number {
    const start = this.position;
    if (start + length > this.file.size)
      throw this.error('FILE_TRUNCATED', `${length} more bytes are needed, the file ends`);
    if (start + length > MAX_HEADER_BYTES)
      throw this.error('HEADER_TOO_LARGE', `headers beyond ${MAX_HEADER_BYTES} bytes are not read`);
    if (start + length > this.#windowStart + this.#window.length) {
      this.#window = this.file.read(start, Math.min(Math.max(length, WINDOW), this.file.size - start));
      this.#windowStart = start;
    }
    this.position = start + length;
    return start - this.#windowStart;
  }
}
