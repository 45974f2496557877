import { DmoermError } from '@dmoerm/core';
import { rename, writeFile } from 'node:fs/promises';

/** What a ready file holds. */
export interface Readiness {
  /** host:port of the gRPC server. */
  readonly address: string;
  /** host:port of the Prometheus page, or null. */
  readonly metrics: string | null;
  /** host:port of the health service alone, or null. */
  readonly health: string | null;
}

/** Tells whoever waits for `path` that the service answers; the file appears complete or not at all. */
export async function writeReadyFile(path: string, readiness: Readiness): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(draft, `${JSON.stringify(readiness)}\n`);
    await rename(draft, path);
  } catch (cause) {
    throw new DmoermError({
      code: 'FAILED_PRECONDITION',
      reason: 'READY_FILE_NOT_WRITABLE',
      field: '--ready-file',
      message: `cannot write ${path}; give a path in a folder that exists and is writable`,
      cause,
    });
  }
}
