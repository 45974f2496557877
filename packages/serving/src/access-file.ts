import { watchFiles } from '@dmoerm/config';
import { DmoermError } from '@dmoerm/core';
import { ROLES, createAccess } from '@dmoerm/rpc';
import type { Access, KnownIdentity } from '@dmoerm/rpc';
import { logger } from '@dmoerm/telemetry';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

const perSecond = z.number().positive().nullable().default(null);
const IdentityEntry = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,63}$/, 'letters, digits, dots and dashes'),
  role: z.enum(ROLES),
  subjects: z.array(z.string().regex(/^(DNS|URI|email):[^, "]+$/, 'e.g. DNS:router.mesh')).default([]),
  token_sha256: z.array(z.string().regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits')).default([]),
  items_per_second: perSecond,
  tokens_per_second: perSecond,
});
const AccessFile = z
  .strictObject({ identities: z.array(IdentityEntry).min(1) })
  .check(({ value, issues }) => {
    const keys = value.identities.flatMap(({ name, subjects, token_sha256 }) => [
      name,
      ...subjects,
      ...token_sha256,
    ]);
    if (new Set(keys).size < keys.length)
      issues.push({ code: 'custom', message: 'a name, subject or token stands twice', input: value });
  });

/** Access as a file says, read again when the file changes: a token struck out is refused from then on. */
export interface AccessFromFile extends Access {
  /** Whether a token can prove an identity; else only certificates do. */
  readonly hasTokens: boolean;
  /** Stops looking at the file. */
  close(): void;
}

/**
 * Reads an access file. One that becomes unreadable later leaves the last good one in force.
 * @throws DmoermError INVALID_ARGUMENT, reason BAD_ACCESS_FILE.
 */
export function openAccess(path: string): AccessFromFile {
  let identities = read(path);
  let access = createAccess(identities);
  const stop = watchFiles([path], () => {
    try {
      identities = read(path);
      access = createAccess(identities);
      logger.info({ identities: identities.length }, 'access file read');
    } catch (err) {
      logger.error({ err }, 'the access file is not valid; identities stay as they were');
    }
  });
  return {
    hasTokens: identities.some(({ tokenDigests }) => tokenDigests.length > 0),
    identify: (proof) => access.identify(proof),
    close: stop,
  };
}

function read(path: string): KnownIdentity[] {
  try {
    return AccessFile.parse(parse(readFileSync(path, 'utf8'), { logLevel: 'error' })).identities.map(
      (entry) => ({
        name: entry.name,
        role: entry.role,
        quota: { items: entry.items_per_second, tokens: entry.tokens_per_second },
        subjects: entry.subjects,
        tokenDigests: entry.token_sha256,
      }),
    );
  } catch (error) {
    // The parser's own words quote the file.
    const why =
      error instanceof z.ZodError ? z.prettifyError(error).replace(/\s+/g, ' ') : 'not readable as YAML';
    throw new DmoermError({
      code: 'INVALID_ARGUMENT',
      reason: 'BAD_ACCESS_FILE',
      field: '--access-file',
      message: `${path}: ${why}`,
    });
  }
}
