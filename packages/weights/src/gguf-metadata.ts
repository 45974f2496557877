import type { GgufCursor } from './gguf-cursor';

/** Elements of all arrays together: a vocabulary of a million tokens with merges, types and scores. */
const MAX_ARRAY_ELEMENTS = 8_000_000;

/** A single metadata value. 64-bit integers beyond 2^53 are bigint. */
export type GgufScalar = boolean | number | bigint | string;
/** A metadata value. */
export type GgufValue = GgufScalar | readonly GgufScalar[];

const ARRAY = 9;

interface ValueType {
  /** Least bytes that a value takes. */
  readonly bytes: number;
  readonly read: (cursor: GgufCursor) => GgufScalar;
}

/** Value types by their number in the format. */
const TYPES: Readonly<Record<number, ValueType>> = {
  0: { bytes: 1, read: (cursor) => cursor.u8() },
  1: { bytes: 1, read: (cursor) => cursor.i8() },
  2: { bytes: 2, read: (cursor) => cursor.u16() },
  3: { bytes: 2, read: (cursor) => cursor.i16() },
  4: { bytes: 4, read: (cursor) => cursor.u32() },
  5: { bytes: 4, read: (cursor) => cursor.i32() },
  6: { bytes: 4, read: (cursor) => cursor.f32() },
  7: { bytes: 1, read: (cursor) => cursor.u8() !== 0 },
  8: { bytes: 8, read: (cursor) => cursor.string() },
  10: { bytes: 8, read: (cursor) => plain(cursor.u64()) },
  11: { bytes: 8, read: (cursor) => plain(cursor.i64()) },
  12: { bytes: 8, read: (cursor) => cursor.f64() },
};

/** Reads `count` metadata entries. @throws DmoermError DATA_LOSS, e.g. for a key that comes twice or an array of arrays. */
export function readGgufMetadata(cursor: GgufCursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  let elementsLeft = MAX_ARRAY_ELEMENTS;
  for (let i = 0; i < count; i++) {
    const key = cursor.string();
    if (metadata.has(key))
      throw cursor.error('DUPLICATE_KEY', `the key ${JSON.stringify(key.slice(0, 80))} comes twice`);
    const type = cursor.u32();
    const value = type === ARRAY ? readArray(cursor, elementsLeft) : valueType(cursor, type).read(cursor);
    if (Array.isArray(value)) elementsLeft -= value.length;
    metadata.set(key, value);
  }
  return metadata;
}

function readArray(cursor: GgufCursor, most: number): GgufScalar[] {
  const type = cursor.u32();
  if (type === ARRAY) throw cursor.error('NESTED_ARRAY', 'arrays of arrays cannot be read');
  const { bytes, read } = valueType(cursor, type);
  const length = cursor.count('array length', most, bytes);
  return Array.from({ length }, () => read(cursor));
}

function valueType(cursor: GgufCursor, type: number): ValueType {
  const known = TYPES[type];
  if (known === undefined) throw cursor.error('BAD_VALUE_TYPE', `${type} is not the number of a value type`);
  return known;
}

function plain(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
