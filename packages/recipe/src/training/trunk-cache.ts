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

/**
 * Hidden states that enter the first adapted layer, on disk in bfloat16: the layers below are computed once for all experts
 * and epochs (recipe, section 2.4). Append-only, data before index, as `EmbeddingCache`; the folder is keyed by everything
 * that decides the numbers.
 */
export class TrunkCache {
  private readonly places = new Map<string, { offset: number; count: number }>();
  private readonly data: number;
  private readonly index: number;
  private end = 0;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    const dataFile = join(folder, 'trunk.bf16');
    const indexFile = join(folder, 'index.txt');
    this.data = openSync(dataFile, existsSync(dataFile) ? 'r+' : 'w+');
    const { size } = fstatSync(this.data);
    for (const line of existsSync(indexFile) ? readFileSync(indexFile, 'utf8').split('\n') : []) {
      const [key = '', count = ''] = line.split(' ');
      const bytes = Number(count) * 2;
      if (key === '' || !(bytes > 0) || this.end + bytes > size) continue;
      this.places.set(key, { offset: this.end, count: Number(count) });
      this.end += bytes;
    }
    this.index = openSync(indexFile, 'a');
  }

  /** The states under a key, computed if they are not there; always as they lie on disk. */
  async get(key: string, compute: () => Promise<Float32Array>): Promise<Float32Array> {
    const place = this.places.get(key) ?? this.append(key, await compute());
    const halves = new Uint16Array(place.count);
    readSync(this.data, halves, 0, halves.byteLength, place.offset);
    return toFloat32(halves);
  }

  private append(key: string, values: Float32Array): { offset: number; count: number } {
    const halves = toBfloat16(values);
    writeSync(this.data, halves, 0, halves.byteLength, this.end);
    writeSync(this.index, `${key} ${halves.length}\n`);
    const place = { offset: this.end, count: halves.length };
    this.places.set(key, place);
    this.end += halves.byteLength;
    return place;
  }

  close(): void {
    closeSync(this.data);
    closeSync(this.index);
  }
}

/** Nearest, ties to even. */
function toBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
}

function toFloat32(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}
