import { open } from 'node:fs/promises';

/** A bfloat16 tensor that is made when it is written: a base need not fit in memory twice. */
export interface Bf16Tensor {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly make: (length: number) => Uint16Array;
}

/** Writes a safetensors file of bfloat16 tensors, one after the other. */
export async function writeBf16Safetensors(path: string, tensors: readonly Bf16Tensor[]): Promise<void> {
  const header: Record<string, unknown> = {};
  let position = 0;
  for (const { name, shape } of tensors) {
    const end = position + 2 * elements(shape);
    header[name] = { dtype: 'BF16', shape, data_offsets: [position, end] };
    position = end;
  }
  const json = JSON.stringify(header);
  const padded = Math.ceil(Buffer.byteLength(json) / 8) * 8;
  const head = Buffer.alloc(8 + padded, ' ');
  head.writeBigUInt64LE(BigInt(padded));
  head.write(json, 8);
  const file = await open(path, 'w');
  try {
    await file.writeFile(head);
    for (const { shape, make } of tensors) {
      const { buffer, byteOffset, byteLength } = make(elements(shape));
      await file.writeFile(new Uint8Array(buffer, byteOffset, byteLength));
    }
  } finally {
    await file.close();
  }
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
