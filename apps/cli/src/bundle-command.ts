import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { createBundle, openBundle, type Bundle, type BundleSpec } from '@dmoerm/bundle';
import { activateBundle, rollbackBundle, type Activated } from '@dmoerm/client';
import { invalidArgument } from '@dmoerm/core';
import type { Command } from 'commander';
import { addConnectionOptions } from './connection';
import { writeJson } from './json-file';
import { MESH_FILE_HELP, openMesh, type MeshCommandOptions } from './mesh-file';
import { readSettings } from './settings';

/** `dmoerm bundle create | verify | inspect | activate | rollback`. */
export function addBundleCommand(program: Command): void {
  const bundle = program
    .command('bundle')
    .description('Bundles: the immutable, content-addressed files of one model.');

  bundle
    .command('create')
    .description(
      'Makes a bundle from a description: {"manifest": {... without files}, "sources": {"path in the bundle": "file or folder"}};\n' +
        'sources are relative to the description. Verifies all of it; a failure leaves nothing behind.',
    )
    .argument('<spec>', 'JSON file')
    .argument('<directory>', 'new folder of the bundle')
    .option('--json <file>', 'write the result here')
    .action(async (specFile: string, directory: string, options: { json?: string }) => {
      const made = await createBundle(readSpec(specFile), directory, readSettings());
      report(made, options.json, `made ${made.directory}`);
    });

  bundle
    .command('verify')
    .description('Verifies a bundle: manifest, every digest, the base, heads, adapters, plans.')
    .argument('<ref>', 'directory, digest or known name')
    .option('--json <file>', 'write the result here')
    .action(async (ref: string, options: { json?: string }) => {
      report(await openBundle(ref, readSettings()), options.json, 'sound');
    });

  bundle
    .command('inspect')
    .description('Shows what a bundle is made of, after verifying it.')
    .argument('<ref>', 'directory, digest or known name')
    .option('--json <file>', 'write the manifest here')
    .action(async (ref: string, options: { json?: string }) => {
      const opened = await openBundle(ref, readSettings());
      writeJson(options.json, describe(opened));
      process.stdout.write(summarise(opened));
    });

  const activate = bundle
    .command('activate')
    .description(
      'Swaps the model of a running mesh without losing a request: every service loads and verifies the bundle beside the\n' +
        'active one, then all activate it, the router last. If one refuses, the old model serves on.',
    )
    .argument('<ref>', 'directory, digest or known name, as the services see it')
    .requiredOption('--mesh <file>', MESH_FILE_HELP)
    .option('--keep', 'keep what was active in memory, for `bundle rollback`', false)
    .option('--json <file>', 'write the result here')
    .action(async (ref: string, options: MeshCommandOptions & { readonly keep: boolean }) => {
      const { addresses, mesh } = openMesh(options);
      tellActive(await activateBundle(ref, addresses, { ...mesh, keep: options.keep }), options.json);
    });
  addConnectionOptions(activate);

  const rollback = bundle
    .command('rollback')
    .description(
      'Returns a running mesh to the revision before the active one, at once, if every service still holds it\n' +
        '(`activate --keep`). The one that it leaves stays in memory: a second rollback undoes the first.',
    )
    .requiredOption('--mesh <file>', MESH_FILE_HELP)
    .option('--json <file>', 'write the result here')
    .action(async (options: MeshCommandOptions) => {
      const { addresses, mesh } = openMesh(options);
      tellActive(await rollbackBundle(addresses, mesh), options.json);
    });
  addConnectionOptions(rollback);
}

function tellActive(active: Activated, json: string | undefined): void {
  writeJson(json, active);
  process.stdout.write(`serving ${active.name}\nrevision ${active.revision}\n`);
}

function readSpec(file: string): BundleSpec {
  let spec: BundleSpec;
  try {
    spec = JSON.parse(readFileSync(file, 'utf8')) as BundleSpec;
  } catch (error) {
    throw invalidArgument(
      'spec',
      'BAD_SPEC',
      `${file}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (typeof spec.manifest !== 'object' || typeof spec.sources !== 'object')
    throw invalidArgument(
      'spec',
      'BAD_SPEC',
      `${file}: needs "manifest" and "sources"; see dmoerm bundle create --help`,
    );
  const sources = Object.entries(spec.sources).map(([path, source]) => [
    path,
    resolve(dirname(file), source),
  ]);
  return { manifest: spec.manifest, sources: Object.fromEntries(sources) as Record<string, string> };
}

function report(bundle: Bundle, jsonFile: string | undefined, what: string): void {
  writeJson(jsonFile, { revision: bundle.revision, directory: bundle.directory });
  process.stdout.write(`${what}\nrevision ${bundle.revision}\n`);
}

function describe({ revision, directory, manifest }: Bundle): Record<string, unknown> {
  return { revision, directory, manifest };
}

function summarise({ revision, manifest, basePath }: Bundle): string {
  const lines = [
    `${manifest.name}  ${manifest.description}`,
    `revision  ${revision}`,
    `base      ${manifest.base.name} (${manifest.base.licence}), ${basePath}`,
    `context   ${manifest.max_tokens} tokens`,
    `files     ${Object.keys(manifest.files).length}, ${(Object.values(manifest.files).reduce((sum, { bytes }) => sum + bytes, 0) / 1e6).toFixed(1)} MB`,
    ...manifest.tasks.map(
      ({ name, plan, capabilities }) =>
        `task      ${name} (${plan.type}): ${capabilities.map((capability) => capability.name).join(', ')}`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}
