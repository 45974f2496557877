import { appendFileSync, writeFileSync } from 'node:fs';
import { crc32c } from '@aws-crypto/crc32c';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Metric } from './metrics';

/** Curves of a training as a TensorBoard event file: a scalar `UNIT/loss` etc. against steps. */
export class EventFile {
  /** Begins the file anew with what was measured before. */
  constructor(
    private readonly file: string,
    before: readonly Metric[],
  ) {
    const version = new BinaryWriter().tag(3, WireType.LengthDelimited).string('brain.Event:2').finish();
    writeFileSync(file, Buffer.concat([record(version), ...before.map(toRecord)]));
  }

  add(metric: Metric): void {
    appendFileSync(this.file, toRecord(metric));
  }
}

/** What says where on the curves one is. */
const NO_CURVES = new Set(['step', 'epoch', 'examples']);

function toRecord(metric: Metric): Buffer {
  const { type, unit, step } = metric;
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Bit64).double(Date.now() / 1e3);
  writer.tag(2, WireType.Varint).int64(step);
  writer.tag(5, WireType.LengthDelimited).fork();
  for (const [name, value] of Object.entries(metric)) {
    // A language model has no accuracy.
    if (NO_CURVES.has(name) || typeof value !== 'number' || !Number.isFinite(value)) continue;
    const tag = type === 'valid' ? `${unit}/validation_${name}` : `${unit}/${name}`;
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(tag).tag(2, WireType.Bit32).float(value).join();
  }
  return record(writer.join().finish());
}

/** TFRecord: length, its checksum, the event, its checksum. */
function record(event: Uint8Array): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(event.length));
  return Buffer.concat([length, checksum(length), event, checksum(event)]);
}

/** CRC-32C, rotated and offset as the format wants it, so that a checksum of checksums is not degenerate. */
function checksum(bytes: Uint8Array): Buffer {
  const crc = crc32c(bytes);
  const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(masked);
  return buffer;
}
