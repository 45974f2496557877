import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256, type Manifest } from '@dmoerm/bundle';

/** A whole number below `limit`. */
export type Pick = (limit: number) => number;

/** A bundle on disk that is damaged and repaired, over and over. */
export class DamagedBundle {
  private readonly originals = new Map<string, Buffer>();
  readonly manifest: Manifest;

  constructor(readonly folder: string) {
    this.manifest = JSON.parse(readFileSync(join(folder, 'dmoerm.json'), 'utf8')) as Manifest;
  }

  /** Paths of its files whose name ends so. */
  files(ending = ''): string[] {
    return Object.keys(this.manifest.files).filter((path) => path.endsWith(ending));
  }

  size(path: string): number {
    return statSync(join(this.folder, path)).size;
  }

  read(path: string): Buffer {
    return Buffer.from(this.original(path));
  }

  write(path: string, bytes: Buffer): void {
    this.original(path);
    writeFileSync(join(this.folder, path), bytes);
  }

  /** Makes the manifest name the files as they are: what a damage looks like that happened before the digests were taken. */
  sign(): void {
    const files = { ...this.manifest.files };
    for (const path of Object.keys(files)) {
      const bytes = readFileSync(join(this.folder, path));
      files[path] = { sha256: sha256(bytes), bytes: bytes.length };
    }
    this.write('dmoerm.json', Buffer.from(JSON.stringify({ ...this.manifest, files })));
  }

  repair(): void {
    for (const [path, bytes] of this.originals) writeFileSync(join(this.folder, path), bytes);
    this.originals.clear();
  }

  private original(path: string): Buffer {
    const known = this.originals.get(path) ?? readFileSync(join(this.folder, path));
    this.originals.set(path, known);
    return known;
  }
}

/** A damage that happens to files after their digests were taken: on a disk, on the way. */
export const RAW_DAMAGES: Readonly<Record<string, (bundle: DamagedBundle, pick: Pick) => void>> = {
  'a flipped bit': (bundle, pick) => {
    const path = choose(bundle.files(), pick);
    const bytes = bundle.read(path);
    const at = pick(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
    bundle.write(path, bytes);
  },
  'a truncated file': (bundle, pick) => {
    const path = choose(bundle.files(), pick);
    const bytes = bundle.read(path);
    bundle.write(path, bytes.subarray(0, pick(bytes.length)));
  },
  'bytes at the end': (bundle, pick) => {
    const path = choose(bundle.files(), pick);
    bundle.write(path, Buffer.concat([bundle.read(path), Buffer.alloc(1 + pick(64), pick(256))]));
  },
  'a page of zeros': (bundle, pick) => {
    const path = choose(bundle.files('.safetensors'), pick);
    const bytes = bundle.read(path);
    const at = pick(bytes.length);
    if (bytes.subarray(at, at + 4096).every((byte) => byte === 0)) bytes[at] = 1;
    else bytes.fill(0, at, Math.min(at + 4096, bytes.length));
    bundle.write(path, bytes);
  },
  'two swapped files': (bundle, pick) => {
    const [first = '', second = ''] = shuffledPair(bundle.files('.safetensors'), pick);
    const [a, b] = [bundle.read(first), bundle.read(second)];
    bundle.write(first, b);
    bundle.write(second, a);
  },
};

/** A damage that the digests agree with: made by whoever wrote the bundle. Each is wrong beyond doubt. */
export const SIGNED_DAMAGES: Readonly<Record<string, (bundle: DamagedBundle, pick: Pick) => void>> = {
  'a header of 2^63 bytes': header((bytes) => bytes.writeBigUInt64LE(1n << 63n)),
  'a header longer than the file': header((bytes) => bytes.writeBigUInt64LE(BigInt(bytes.length))),
  'a header that is no JSON': header((bytes, pick) => void (bytes[8 + pick(4)] = 0)),
  'overlapping tensors': tensors((all) => {
    const [first, second] = Object.values(all);
    if (first !== undefined && second !== undefined) second.data_offsets = [...first.data_offsets];
  }),
  'a tensor beyond the file': tensors((all) => {
    const [first] = Object.values(all);
    if (first !== undefined) first.data_offsets = first.data_offsets.map((at) => at + 2 ** 40);
  }),
  'another dtype': tensors((all) => {
    const [first] = Object.values(all);
    if (first !== undefined) first.dtype = first.dtype === 'F32' ? 'F64' : 'F32';
  }),
  'another shape': tensors((all) => {
    const [first] = Object.values(all);
    if (first !== undefined) first.shape = [...first.shape.slice(0, -1), (first.shape.at(-1) ?? 1) + 1];
  }),
  'a value that is not finite': (bundle, pick) => {
    const path = choose(bundle.files('.safetensors').filter(isExpert), pick);
    const bytes = bundle.read(path);
    const start = 8 + Number(bytes.readBigUInt64LE());
    const values = Math.floor((bytes.length - start) / 4);
    bytes.writeFloatLE(choose([NaN, Infinity, -Infinity], pick), start + 4 * pick(values));
    bundle.write(path, bytes);
  },
  "another task's heads": (bundle, pick) => {
    const [first = '', second = ''] = shuffledPair(
      bundle.files().filter((path) => path.startsWith('heads/')),
      pick,
    );
    bundle.write(first, bundle.read(second));
  },
  'an adapter of another plan': (bundle) => {
    const [full = ''] = bundle.files('all-linear/adapter_model.safetensors');
    const [top = ''] = bundle.files('top2/adapter_model.safetensors');
    bundle.write(top, bundle.read(full));
  },
};

function isExpert(path: string): boolean {
  return path.startsWith('heads/') || path.startsWith('adapters/');
}

interface TensorEntry {
  dtype: string;
  shape: number[];
  data_offsets: number[];
}

function header(change: (bytes: Buffer, pick: Pick) => void) {
  return (bundle: DamagedBundle, pick: Pick): void => {
    const path = choose(bundle.files('.safetensors'), pick);
    const bytes = bundle.read(path);
    change(bytes, pick);
    bundle.write(path, bytes);
  };
}

function tensors(change: (all: Record<string, TensorEntry>) => void) {
  return (bundle: DamagedBundle, pick: Pick): void => {
    const path = choose(bundle.files('.safetensors').filter(isExpert), pick);
    const bytes = bundle.read(path);
    const length = Number(bytes.readBigUInt64LE());
    const { __metadata__: metadata, ...all } = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<
      string,
      TensorEntry
    >;
    change(all);
    const text = JSON.stringify(metadata === undefined ? all : { __metadata__: metadata, ...all });
    const head = Buffer.alloc(8);
    const padded = text.padEnd(Math.ceil(text.length / 8) * 8);
    head.writeBigUInt64LE(BigInt(padded.length));
    bundle.write(path, Buffer.concat([head, Buffer.from(padded), bytes.subarray(8 + length)]));
  };
}

function choose<T>(options: readonly T[], pick: Pick): T {
  return options[pick(options.length)] as T;
}

/** Two of them that differ. */
function shuffledPair(paths: readonly string[], pick: Pick): string[] {
  const first = pick(paths.length);
  const second = (first + 1 + pick(paths.length - 1)) % paths.length;
  return [paths[first] ?? '', paths[second] ?? ''];
}
