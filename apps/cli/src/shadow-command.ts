import { shadowReports, startShadow, stopShadow, type ShadowReport } from '@dmoerm/client';
import type { Command } from 'commander';
import { addConnectionOptions } from './connection';
import { writeJson } from './json-file';
import { MESH_FILE_HELP, openMesh, type MeshCommandOptions } from './mesh-file';

/** `dmoerm shadow start | report | stop`. */
export function addShadowCommand(program: Command): void {
  const shadow = program
    .command('shadow')
    .description(
      'Tries a bundle on the traffic of a running mesh before anybody depends on it: a share of the items is scored with it too, after\n' +
        'the callers have their answers. Under load the traffic comes first: what has no place is skipped and counted.',
    );

  const start = shadow
    .command('start')
    .description('Loads the bundle on every service and begins, with an empty report.')
    .argument('<ref>', 'directory, digest or known name, as the services see it')
    .requiredOption('--mesh <file>', MESH_FILE_HELP)
    .option('--share <x>', 'of the items, above 0, at most 1', Number, 0.1)
    .option('--json <file>', 'write the result here')
    .action(async (ref: string, options: MeshCommandOptions & { readonly share: number }) => {
      const { addresses, mesh } = openMesh(options);
      const candidate = await startShadow(ref, options.share, addresses, mesh);
      writeJson(options.json, candidate);
      process.stdout.write(
        `scoring ${options.share} of the items with ${candidate.name} too\nrevision ${candidate.revision}\n`,
      );
    });
  addConnectionOptions(start);

  for (const [name, description, ask] of [
    ['report', 'Shows how the candidate compares so far.', shadowReports],
    [
      'stop',
      'Ends it, shows the last report, and unloads the candidate unless it is active by now.',
      stopShadow,
    ],
  ] as const) {
    const command = shadow
      .command(name)
      .description(description)
      .requiredOption('--mesh <file>', MESH_FILE_HELP)
      .option('--json <file>', 'write the reports here, one per router')
      .action(async (options: MeshCommandOptions) => {
        const { addresses, mesh } = openMesh(options);
        const reports = await ask(addresses, mesh);
        writeJson(options.json, { reports });
        process.stdout.write(`${reports.map(formatReport).join('\n\n')}\n`);
      });
    addConnectionOptions(command);
  }
}

function formatReport(report: ShadowReport): string {
  const { router, revision, share, items, skipped, rerouted, failures, tasks } = report;
  const failed = Object.entries(failures).map(([reason, count]) => `, ${count} failed with ${reason}`);
  return [
    `${router}: candidate ${revision.slice(0, 12)} on ${share} of the items`,
    `${items} items scored by both, ${skipped} skipped, ${rerouted} sent to another task${failed.join('')}`,
    ...tasks.map(
      ({ task, candidates, pairs, sameOrder, correlation, active, candidate }) =>
        `  ${task}: ${candidates} candidates, correlation ${correlation.toFixed(3)}, same order in ` +
        `${(100 * sameOrder).toFixed(1)} % of ${pairs} pairs; rewards ${active.mean.toFixed(2)} ± ${active.deviation.toFixed(2)} ` +
        `active, ${candidate.mean.toFixed(2)} ± ${candidate.deviation.toFixed(2)} candidate`,
    ),
  ].join('\n');
}
