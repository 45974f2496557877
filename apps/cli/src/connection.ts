import { readFileSync } from 'node:fs';
import type { ConnectionSecurity } from '@dmoerm/client';
import { defineConfig, loadConfig } from '@dmoerm/config';
import { invalidArgument } from '@dmoerm/core';
import type { Command } from 'commander';
import { z } from 'zod';

const SETTINGS = defineConfig({
  name: 'cli',
  description: 'What proves to a mesh who calls; from the environment, so that no process list shows it.',
  options: {
    token: {
      schema: z.string().min(1).nullable(),
      default: null,
      env: 'DMOERM_TOKEN',
      why: 'API token.',
      secret: true,
    },
  },
});

/** Flags of the commands that reach a running mesh. */
export interface ConnectionOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly tokenFile?: string;
}

/** Adds them to a command. */
export function addConnectionOptions(command: Command): void {
  command
    .option('--ca <file>', "authorities of the servers' certificates (PEM); switches TLS on")
    .option('--cert <file>', 'own certificate (PEM), where servers ask for one')
    .option('--key <file>', 'its private key (PEM)')
    .option('--token-file <file>', 'file with the API token; else the environment, DMOERM_TOKEN');
}

/** What the flags and the environment say. @throws DmoermError INVALID_ARGUMENT */
export function readConnection({ ca, cert, key, tokenFile }: ConnectionOptions): ConnectionSecurity {
  if ((cert === undefined) !== (key === undefined) || (cert !== undefined && ca === undefined))
    throw invalidArgument('--cert', 'INCOMPLETE_TLS', 'give --ca, --cert and --key together, or --ca alone');
  const identity = cert === undefined || key === undefined ? {} : { identity: { certificate: cert, key } };
  const token = tokenFile === undefined ? loadConfig(SETTINGS, { argv: [] }).token : readToken(tokenFile);
  return {
    ...(ca !== undefined && { tls: { ca, ...identity } }),
    ...(token !== null && { token }),
  };
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    throw invalidArgument(
      '--token-file',
      'FILE_NOT_FOUND',
      `cannot read ${file}; it should hold the API token`,
    );
  }
}
