import { readFileSync } from 'node:fs';
import type { MeshAddresses, MeshOptions } from '@dmoerm/client';
import { invalidArgument } from '@dmoerm/core';
import { z } from 'zod';
import { readConnection, type ConnectionOptions } from './connection';

/** Explains `--mesh`. */
export const MESH_FILE_HELP =
  'addresses as `serve --ready-file` writes them: {"router": "host:port", "expert": ..., "aggregator": ...};\n' +
  'a list of addresses stands for replicas; "secure": ["router"] says which of them to reach with --ca and a token, if not all';

/** Options of the commands that work with all services of a mesh. */
export type MeshCommandOptions = ConnectionOptions & { readonly mesh: string; readonly json?: string };

/** A mesh as the options say to reach it; steps are told on standard error. @throws DmoermError INVALID_ARGUMENT */
export function openMesh(options: MeshCommandOptions): { addresses: MeshAddresses; mesh: MeshOptions } {
  const { addresses, secure } = readMesh(options.mesh);
  const connection = readConnection(options);
  return {
    addresses,
    mesh: {
      security: (kind) => (secure.includes(kind) ? connection : {}),
      onStep: (address, step) => process.stderr.write(`${address}: ${step}\n`),
    },
  };
}

const Addresses = z.union([
  z
    .string()
    .min(1)
    .transform((one) => [one]),
  z.array(z.string().min(1)).min(1),
]);
const KINDS = { router: 'routers', expert: 'experts', aggregator: 'aggregators' } as const;
const MeshFile = z.object({
  router: Addresses,
  expert: Addresses,
  aggregator: Addresses,
  secure: z.array(z.enum(['router', 'expert', 'aggregator'])).default(['router', 'expert', 'aggregator']),
});

/** The addresses of a mesh, and which kinds of services ask for TLS and identities. */
function readMesh(file: string): {
  readonly addresses: MeshAddresses;
  readonly secure: readonly (keyof MeshAddresses)[];
} {
  try {
    const { router, expert, aggregator, secure } = MeshFile.parse(JSON.parse(readFileSync(file, 'utf8')));
    const addresses = { routers: router, experts: expert, aggregators: aggregator };
    return { addresses, secure: secure.map((kind) => KINDS[kind]) };
  } catch (error) {
    const why =
      error instanceof z.ZodError ? z.prettifyError(error) : error instanceof Error ? error.message : '';
    throw invalidArgument('--mesh', 'BAD_MESH_FILE', `${file}: ${why}`);
  }
}
