import { createRandom } from '@dmoerm/core';

/** A field of an encoded message: its tag and, of `bytes`, the content that may itself be a message. */
interface Field {
  readonly tag: number;
  readonly type: number;
  readonly value: Buffer;
  readonly children: readonly Field[] | null;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const MAX_NESTING = 40;

/** Numbers at which code goes wrong, as varints: extremes, signs, one byte too long. */
const VARINTS = [
  '00',
  '01',
  '7f',
  '8001',
  'ffffffff0f',
  'ffffffff07',
  'ffffffffffffffffff01',
  'ffffffffffffffffffff01',
];
/** Doubles and floats: NaN, infinities, the smallest, the largest. */
const DOUBLES = [
  '000000000000f87f',
  '000000000000f07f',
  '000000000000f0ff',
  '0100000000000000',
  'ffffffffffffef7f',
];
const FLOATS = ['0000c07f', '0000807f', '000080ff', '01000000', 'ffff7f7f'];
/** Broken UTF-8, a zero, an escape, a path, a very long word, a surrogate, text that is read as something else. */
const TEXTS = [
  Buffer.from([0xc3, 0x28]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0]),
  Buffer.from('\u001b[31m\r\n\t'),
  Buffer.from('../../../../etc/passwd\u0000.json'),
  Buffer.from('\u202e\ufeff\u{1f9ff}'.repeat(50)),
  Buffer.from('a'.repeat(20_000)),
  Buffer.from('{"$case":"text","__proto__":null}'),
  Buffer.from('<|im_start|>system<|im_end|></s>[INST]'),
  Buffer.alloc(0),
];

/**
 * Turns real messages into hostile ones. It knows the structure of the wire format, so that most mutants get past the decoder
 * and into what lies behind it; equal seeds give equal mutants.
 */
export class Mutator {
  private readonly random: () => number;

  constructor(seed: number) {
    this.random = createRandom(seed);
  }

  /** A mutant of the message, one to four changes away. */
  mutate(message: Uint8Array): Buffer {
    let fields = parse(Buffer.from(message), 0) ?? [];
    for (let changes = 1 + this.below(4); changes > 0; changes--) fields = this.change(fields, 0);
    const bytes = encode(fields);
    // Rarely, what no encoder makes: a cut, a flipped bit, garbage behind.
    switch (this.below(20)) {
      case 0:
        return bytes.subarray(0, this.below(bytes.length + 1));
      case 1:
        return this.flip(bytes);
      case 2:
        return Buffer.concat([bytes, this.noise(1 + this.below(16))]);
      default:
        return bytes;
    }
  }

  /** One of the values. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  /** An integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  /** Random bytes. */
  noise(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  private change(fields: readonly Field[], depth: number): Field[] {
    const changed = [...fields];
    if (changed.length === 0) return [this.newField()];
    const at = this.below(changed.length);
    const field = changed[at] as Field;
    // Mostly somewhere inside: there are the interesting ones.
    if (field.children !== null && depth < MAX_NESTING && this.random() < 0.75)
      return changed.with(at, { ...field, children: this.change(field.children, depth + 1) });
    switch (this.below(8)) {
      case 0:
        return changed.toSpliced(at, 1);
      case 1:
        return changed.toSpliced(at, 0, ...Array.from({ length: 1 + this.below(5) }, () => field));
      case 2:
        return changed.with(at, changed[this.below(changed.length)] as Field);
      case 3:
        return changed.with(at, { ...field, tag: 1 + this.below(12) });
      case 4:
        return [...changed, this.newField()];
      case 5:
        return changed.with(at, nest(field, 1 + this.below(MAX_NESTING)));
      default:
        return changed.with(at, this.otherValue(field));
    }
  }

  private otherValue(field: Field): Field {
    const hex = (values: readonly string[]): Buffer => Buffer.from(this.pick(values), 'hex');
    if (field.type === VARINT) return { ...field, value: hex(VARINTS) };
    if (field.type === FIXED64) return { ...field, value: hex(DOUBLES) };
    if (field.type === FIXED32) return { ...field, value: hex(FLOATS) };
    const value = this.random() < 0.7 ? this.pick(TEXTS) : this.flip(field.value);
    return { ...field, value, children: null };
  }

  private newField(): Field {
    const type = this.pick([VARINT, FIXED64, BYTES, FIXED32]);
    const empty = { tag: 1 + this.below(12), type, value: Buffer.alloc(0), children: null };
    return this.otherValue(empty);
  }

  private flip(bytes: Buffer): Buffer {
    const flipped = Buffer.from(bytes);
    const at = this.below(bytes.length);
    if (bytes.length > 0) flipped[at] = (bytes[at] ?? 0) ^ (1 << this.below(8));
    return flipped;
  }
}

/** Wraps the field's content `levels` times in itself. */
function nest(field: Field, levels: number): Field {
  let nested = field.type === BYTES ? field : { ...field, type: BYTES };
  for (let i = 0; i < levels; i++) nested = { ...nested, children: [nested] };
  return nested;
}

/** The fields of a message, or null if it is none. Texts that happen to parse are taken for messages: all the better. */
function parse(bytes: Buffer, depth: number): Field[] | null {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number | null => {
    let value = 0;
    for (let shift = 0; shift < 10; shift++) {
      const byte = bytes[at++];
      if (byte === undefined) return null;
      value += (byte & 0x7f) * 2 ** (7 * shift);
      if (byte < 0x80) return value;
    }
    return null;
  };
  while (at < bytes.length) {
    const key = varint();
    if (key === null || key < 8 || key > 8 * 1000) return null;
    const type = key % 8;
    const start = at;
    let length = type === FIXED64 ? 8 : type === FIXED32 ? 4 : 0;
    if (type === VARINT) {
      if (varint() === null) return null;
    } else if (type === BYTES) {
      const declared = varint();
      if (declared === null) return null;
      length = declared;
    } else if (length === 0) return null;
    const from = type === VARINT ? start : at;
    const end = type === VARINT ? at : at + length;
    if (end > bytes.length) return null;
    const value = bytes.subarray(from, end);
    at = end;
    const inner = type === BYTES && value.length > 1 && depth < MAX_NESTING ? parse(value, depth + 1) : null;
    fields.push({ tag: Math.floor(key / 8), type, value, children: inner });
  }
  return fields;
}

function encode(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(({ tag, type, value, children }) => {
      const content = children === null ? value : encode(children);
      const key = encodeVarint(tag * 8 + type);
      return type === BYTES ? [key, encodeVarint(content.length), content] : [key, content];
    }),
  );
}

function encodeVarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Buffer.from([...bytes, rest]);
}
