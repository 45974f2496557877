import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { toBfloat16 } from '@dmoerm/weights';

/**
 * Numbers on disk by key, computed once: hidden states that enter the first adapted layer (recipe, section 2.4) in bfloat16,
 * embeddings of the aggregator's pairs in float32. Append-only, data before its line in the index, so that what a killed run
 * left is what the next one starts from. The folder is keyed by everything that decides the numbers.
 */
export class ValueCache {
  private readonly places = new Map<string, { offset: number; count: number }>();
  private readonly data: number;
  private readonly index: number;
  private end = 0;

  constructor(
    folder: string,
    private readonly type: 'bf16' | 'f32',
  ) {
    mkdirSync(folder, { recursive: true });
    const dataFile = join(folder, `values.${type}`);
    const indexFile = join(folder, 'index.txt');
    this.data = openSync(dataFile, existsSync(dataFile) ? 'r+' : 'w+');
    const { size } = fstatSync(this.data);
    for (const line of existsSync(indexFile) ? readFileSync(indexFile, 'utf8').split('\n') : []) {
      const [key = '', count = ''] = line.split(' ');
      const bytes = Number(count) * this.width;
      if (key === '' || !(bytes > 0) || this.end + bytes > size) continue;
      this.places.set(key, { offset: this.end, count: Number(count) });
      this.end += bytes;
    }
    this.index = openSync(indexFile, 'a');
  }

  private get width(): number {
    return this.type === 'bf16' ? 2 : 4;
  }

  has(key: string): boolean {
    return this.places.has(key);
  }

  /** The numbers under a key, computed if they are not there; always as they lie on disk. */
  async get(key: string, compute: () => Promise<Float32Array>): Promise<Float32Array> {
    const place = this.places.get(key) ?? this.append(key, await compute());
    const bytes = new Uint8Array(place.count * this.width);
    readSync(this.data, bytes, 0, bytes.byteLength, place.offset);
    return this.type === 'bf16' ? toFloat32(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
  }

  private append(key: string, values: Float32Array): { offset: number; count: number } {
    const stored = this.type === 'bf16' ? toBfloat16(values) : values;
    writeSync(this.data, stored, 0, stored.byteLength, this.end);
    writeSync(this.index, `${key} ${values.length}\n`);
    const place = { offset: this.end, count: values.length };
    this.places.set(key, place);
    this.end += stored.byteLength;
    return place;
  }

  close(): void {
    closeSync(this.data);
    closeSync(this.index);
  }
}

function toFloat32(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}
