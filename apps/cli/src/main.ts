import { startTelemetry, type Telemetry } from '@dmoerm/telemetry';
import { Command } from 'commander';
import { addBaseCommand } from './base-command';
import { addBenchCommand } from './bench-command';
import { addBundleCommand } from './bundle-command';
import { addDoctorCommand } from './doctor-command';
import { addEvalCommand } from './eval-command';
import { fail } from './exit';
import { addExpertCommand } from './expert-command';
import { addLabelCommand } from './label-command';
import { addScoreCommand } from './score-command';
import { addServeCommand } from './serve-command';
import { addShadowCommand } from './shadow-command';
import { addTokenCommand } from './token-command';
import { addStudyCommand } from './study-command';
import { addTrainCommand, type ListenAddress } from './train-command';
import { readSettings } from './settings';

const program = new Command('dmoerm')
  .description('A reward model for RLHF: experts per capability on one base, served over gRPC.')
  .version('0.1.0')
  .enablePositionalOptions()
  .showHelpAfterError('(--help explains the command)')
  .exitOverride((error) => {
    // Commander's own codes: help and version are no failure, everything else is wrong use.
    process.exit(error.exitCode === 0 ? 0 : 2);
  })
  .addHelpText(
    'after',
    `
Examples:
  dmoerm score examples/conversations.jsonl   with the small default bundle: nothing is fetched
  dmoerm base pull smollm2-135m            fetch a better base (98 MB, once), then
  dmoerm score examples/conversations.jsonl --bundle smollm2-135m
  dmoerm serve --ready-file /tmp/ready     the whole mesh on this machine
  dmoerm label pairs.jsonl --output runs/labels --model NAME   capability labels from a language model (OPENAI_BASE_URL)
  dmoerm eval --data FOLDER                accuracy on preference pairs, with baselines
  dmoerm doctor                            what this machine can do, and what is missing

Exit status: 0 done, 1 some items failed, 2 wrong use, 3 mesh not reachable.`,
  );

addServeCommand(program);
addScoreCommand(program);
addTokenCommand(program);
addBundleCommand(program);
addExpertCommand(program);
addShadowCommand(program);
addBaseCommand(program);
addLabelCommand(program);
addTrainCommand(program);
addStudyCommand(program);
addEvalCommand(program);
addBenchCommand(program);
addDoctorCommand(program);

let telemetry: Telemetry | undefined;
program.hook('preAction', async (_, command) => {
  const { otlpEndpoint } = readSettings();
  const { metricsListen } = command.opts<{ metricsListen?: ListenAddress }>();
  if (otlpEndpoint === null && metricsListen === undefined) return;
  telemetry = await startTelemetry({
    service: command.name() === 'train' ? 'train' : 'cli',
    otlpEndpoint,
    metricsPort: metricsListen?.port ?? null,
    ...(metricsListen === undefined ? {} : { metricsHost: metricsListen.host }),
    sampleRatio: 1,
  });
  const { metricsAddress } = telemetry;
  if (metricsAddress !== null) process.stderr.write(`metrics: http://${metricsAddress}/metrics\n`);
});

program
  .parseAsync(process.argv)
  .catch(fail)
  .finally(() => telemetry?.shutdown());
