/** A tensor entry as it is written, sizes innermost first. */
export interface RawTensor {
  readonly name: string;
  readonly sizes: readonly bigint[];
  readonly type: number;
  readonly offset: bigint;
}

/** Bytes of GGUF pieces, valid or not. */
export const write = {
  u32: (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  },
  u64: (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    return bytes;
  },
  string: (text: string): Buffer =>
    Buffer.concat([write.u64(BigInt(Buffer.byteLength(text))), Buffer.from(text)]),
  pair: (key: string, type: number, value: Buffer): Buffer =>
    Buffer.concat([write.string(key), write.u32(type), value]),
  tensor: ({ name, sizes, type, offset }: RawTensor): Buffer =>
    Buffer.concat([
      write.string(name),
      write.u32(sizes.length),
      ...sizes.map(write.u64),
      write.u32(type),
      write.u64(offset),
    ]),
};

/** A whole GGUF file: header, padding to 32, `data` bytes of zeros. */
export function ggufFile(parts: {
  readonly version?: number;
  readonly pairs?: readonly Buffer[];
  readonly tensors?: readonly Buffer[];
  readonly keyCount?: bigint;
  readonly tensorCount?: bigint;
  readonly data?: number;
}): Buffer {
  const { version = 3, pairs = [], tensors = [], data = 0 } = parts;
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    write.u32(version),
    write.u64(parts.tensorCount ?? BigInt(tensors.length)),
    write.u64(parts.keyCount ?? BigInt(pairs.length)),
    ...pairs,
    ...tensors,
  ]);
  return Buffer.concat([header, Buffer.alloc(Math.ceil(header.length / 32) * 32 - header.length + data)]);
}
