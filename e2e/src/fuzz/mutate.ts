import { createRandom } from '@dmoerm/core';

/** Makes something else of a file's bytes. */
export type Mutator = (bytes: Buffer, random: () => number) => Buffer;

const NUMBERS = [-1, 0, 1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, -1e-308];
const WORDS = [
  '',
  '../../etc/passwd',
  '/',
  '\0',
  '\ud800',
  '__proto__',
  'constructor',
  'NaN',
  'x'.repeat(5_000),
];
const HUGE = [0n, 1n, 2n ** 31n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const MAX_CHANGES = 4;

/** Flips bits, writes huge numbers, copies, cuts and repeats within the first `within` bytes, where headers are. */
export function binary(within: number): Mutator {
  return (bytes, random) => {
    let copy = Buffer.from(bytes);
    for (let n = below(MAX_CHANGES, random); n >= 0; n--) {
      const end = Math.max(1, Math.min(within, copy.length));
      const at = below(end, random);
      const change = below(5, random);
      if (change === 0) copy[at] = (copy[at] ?? 0) ^ (1 << below(8, random));
      else if (change === 1 && copy.length >= 8)
        copy.writeBigUInt64LE(pick(HUGE, random), Math.min(at, copy.length - 8));
      else if (change === 2) copy.copy(copy, below(end, random), at, Math.min(at + 24, copy.length));
      else if (change === 3) copy = copy.subarray(0, Math.max(1, at));
      else copy = Buffer.concat([copy.subarray(0, at), copy.subarray(below(at + 1, random))]);
    }
    return copy;
  };
}

/** Changes a JSON document at one to four places: other types, extremes, missing, added and repeated members, deep nesting. */
export const json: Mutator = (bytes, random) => {
  let value = JSON.parse(bytes.toString('utf8')) as unknown;
  for (let n = below(MAX_CHANGES, random); n >= 0; n--) value = mutateValue(value, random);
  return Buffer.from(JSON.stringify(value) ?? 'null');
};

/** The same for each line of a file of JSON lines; now and then a line breaks off. */
export const jsonLines: Mutator = (bytes, random) => {
  const lines = bytes.toString('utf8').trim().split('\n');
  const at = below(lines.length, random);
  const line = json(Buffer.from(lines[at] ?? '{}'), random).toString();
  lines[at] = below(4, random) === 0 ? line.slice(0, below(line.length, random)) : line;
  return Buffer.from(`${lines.join('\n')}\n`);
};

/** A safetensors file with another header of the right length. */
export const safetensors: Mutator = (bytes, random) => {
  const length = Number(bytes.readBigUInt64LE());
  const header = json(bytes.subarray(8, 8 + length), random);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([prefix, header, bytes.subarray(8 + length)]);
};

/** One of several. */
export function oneOf(...mutators: readonly Mutator[]): Mutator {
  return (bytes, random) => pick(mutators, random)(bytes, random);
}

/** A whole number of 0 to limit - 1. */
export function below(limit: number, random: () => number): number {
  return Math.floor(limit * random());
}

/** One of them. */
export function pick<T>(values: readonly T[], random: () => number): T {
  return values[below(values.length, random)] as T;
}

function mutateValue(value: unknown, random: () => number): unknown {
  const children = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  // Most changes should be deep inside: that is where the readers' own rules are.
  if (children.length === 0 || random() < 0.1) return replacement(value, random);
  const key = pick(children, random);
  if (Array.isArray(value)) {
    const copy = [...(value as unknown[])];
    const at = Number(key);
    if (random() < 0.1) copy.splice(at, below(2, random), ...copy.slice(at, at + 1 + below(3, random)));
    else copy[at] = mutateValue(copy[at], random);
    return copy;
  }
  const copy: Record<string, unknown> = { ...(value as Record<string, unknown>) };
  const change = random();
  if (change < 0.08) delete copy[key];
  else if (change < 0.16) copy[pick(WORDS, random)] = copy[key];
  else copy[key] = mutateValue(copy[key], random);
  return copy;
}

function replacement(value: unknown, random: () => number): unknown {
  switch (below(8, random)) {
    case 0:
      return null;
    case 1:
      return random() < 0.5;
    case 2:
      return pick(NUMBERS, random);
    case 3:
      return typeof value === 'number' ? value + pick([-1, 1, 1e9], random) : pick(WORDS, random);
    case 4:
      return typeof value === 'string' ? value + pick(WORDS, random) : `${JSON.stringify(value)}`;
    case 5:
      return [value, value];
    case 6:
      return { nested: value };
    default: {
      let deep: unknown = value;
      for (let n = 0; n < 500; n++) deep = [deep];
      return deep;
    }
  }
}

/** Equal seeds give the same inputs. */
export function inputs(seeds: readonly Buffer[], mutator: Mutator, seed: number): () => Buffer {
  const random = createRandom(seed);
  return () => mutator(pick(seeds, random), random);
}
