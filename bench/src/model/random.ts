/** Values of the table of normal numbers: drawn once, then picked at random, which is ten times as fast as drawing each. */
const TABLE_SIZE = 1 << 16;

/** Seeded random numbers (xorshift32); the same seed gives the same numbers everywhere. */
export class Random {
  private state: number;

  /** @param seed names what the numbers are for, so that they do not depend on what else is drawn */
  constructor(seed: string) {
    let state = 0x811c9dc5;
    for (const byte of Buffer.from(seed)) state = Math.imul(state ^ byte, 0x01000193);
    this.state = state === 0 ? 1 : state;
    for (let i = 0; i < 8; i++) this.next();
  }

  /** 32 random bits. */
  next(): number {
    let state = this.state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.state = state;
    return state >>> 0;
  }

  /** A whole number in [low, high). */
  integer(low: number, high: number): number {
    return low + (this.next() % (high - low));
  }

  /** A normal number of mean 0 and standard deviation 1 (Box-Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log((this.next() + 1) / 2 ** 32));
    return radius * Math.cos((2 * Math.PI * this.next()) / 2 ** 32);
  }

  /** Normal numbers [length], mean 0. */
  normals(length: number, std: number): Float32Array {
    const table = Float32Array.from(normalTable(), (value) => value * std);
    return Float32Array.from({ length }, () => table[this.next() >>> 16] ?? 0);
  }

  /** The same as bfloat16 bits [length], rounded to nearest even. */
  normalsBf16(length: number, std: number): Uint16Array {
    const table = Uint16Array.from(normalTable(), (value) => toBf16(value * std));
    const values = new Uint16Array(length);
    for (let i = 0; i < length; i++) values[i] = table[this.next() >>> 16] ?? 0;
    return values;
  }
}

let cachedTable: Float32Array | null = null;

function normalTable(): Float32Array {
  if (cachedTable === null) {
    const random = new Random('normal table');
    cachedTable = Float32Array.from({ length: TABLE_SIZE }, () => random.normal());
  }
  return cachedTable;
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** Bits of the nearest bfloat16, ties to even; for finite numbers. */
export function toBf16(value: number): number {
  scratch[0] = value;
  const bits = scratchBits[0] ?? 0;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
