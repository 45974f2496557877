/** Values of the table of normal numbers: drawn once, then picked at random, which is ten times as fast as drawing each. */
const TABLE_SIZE = 1 << 16;
/** Standard deviation of weights. */
const STD = 0.02;

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

  /** Normal numbers [length] of mean 0 and a standard deviation of 0.02, as weights begin. */
  weights(length: number): Float32Array {
    return this.pick(new Float32Array(length), normalTable().values);
  }

  /** The same as bfloat16 bits [length]. */
  weightsBf16(length: number): Uint16Array {
    return this.pick(new Uint16Array(length), normalTable().bf16);
  }

  /** Fills `target` with elements of a table of `TABLE_SIZE`. */
  private pick<T extends Float32Array | Uint16Array>(target: T, table: T): T {
    for (let i = 0; i < target.length; i++) target[i] = table[this.next() >>> 16] ?? 0;
    return target;
  }
}

interface NormalTable {
  readonly values: Float32Array;
  readonly bf16: Uint16Array;
}

let cachedTable: NormalTable | null = null;

function normalTable(): NormalTable {
  if (cachedTable === null) {
    const random = new Random('normal table');
    const values = Float32Array.from({ length: TABLE_SIZE }, () => random.normal() * STD);
    cachedTable = { values, bf16: Uint16Array.from(values, toBf16) };
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
