import { cpSync } from 'node:fs';
import { DamagedBundle } from '../faults/support/bundle-damage';

/** Finite, as a load asks for; a sum of products with it is not. */
const HUGE = 3e38;

/** A copy with a changed byte. */
export function damagedCopy(bundle: string, target: string): string {
  cpSync(bundle, target, { recursive: true });
  const copy = new DamagedBundle(target);
  const [path = ''] = copy.files('.onnx');
  const bytes = copy.read(path);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  copy.write(path, bytes);
  return target;
}

/** A sound copy, as its digests say, in which every score overflows. */
export function overflowingCopy(bundle: string, target: string): string {
  cpSync(bundle, target, { recursive: true });
  const copy = new DamagedBundle(target);
  for (const path of copy.files('.safetensors').filter((one) => one.startsWith('heads/'))) {
    const bytes = copy.read(path);
    for (let at = 8 + Number(bytes.readBigUInt64LE()); at < bytes.length; at += 4)
      bytes.writeFloatLE(HUGE, at);
    copy.write(path, bytes);
  }
  copy.sign();
  return target;
}
