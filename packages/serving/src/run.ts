import { helpRequested, helpText, loadConfig } from '@dmoerm/config';
import type { ConfigDefinition, ConfigOf, ConfigOption } from '@dmoerm/config';
import { DmoermError } from '@dmoerm/core';
import { logger, startTelemetry } from '@dmoerm/telemetry';
import type { Service } from './host';
import type { PROCESS_OPTIONS } from './options';
import { writeReadyFile } from './ready-file';

/** Wrong use: flags, files or a bundle that the caller can repair. */
const EXIT_WRONG_USE = 2;
const EXIT_FAILED = 1;

/**
 * The life of a service's process: settings, telemetry, start, ready file, and on SIGTERM or SIGINT the drain and exit 0.
 * A service that cannot start prints why and exits with 2 (wrong settings, or
 * no such bundle) or 1.
 */
export async function runService<O extends Readonly<Record<string, ConfigOption>> & typeof PROCESS_OPTIONS>(
  definition: ConfigDefinition<O>,
  create: (config: ConfigOf<ConfigDefinition<O>>) => Service,
): Promise<void> {
  if (helpRequested()) return void process.stdout.write(helpText(definition));
  process.on('uncaughtException', (err) => {
    logger.fatal({ err }, 'the process cannot go on');
    process.exit(EXIT_FAILED);
  });
  try {
    await live(definition.name, loadConfig(definition), create);
  } catch (error) {
    const { code, message } = DmoermError.from(error);
    logger.fatal({ err: error }, 'the service cannot start');
    process.stderr.write(`dmoerm ${definition.name}: ${message}\n`);
    process.exit(code === 'INVALID_ARGUMENT' || code === 'NOT_FOUND' ? EXIT_WRONG_USE : EXIT_FAILED);
  }
}

async function live<C extends ConfigOf<ConfigDefinition<typeof PROCESS_OPTIONS>>>(
  name: string,
  config: C,
  create: (config: C) => Service,
): Promise<void> {
  const { otlpEndpoint, sampleRatio, metricsListen, readyFile } = config;
  const [, metricsHost, metricsPort] = /^(.+):(\d+)$/.exec(metricsListen ?? '') ?? [];
  const telemetry = await startTelemetry({
    service: name,
    otlpEndpoint,
    sampleRatio,
    metricsPort: metricsPort === undefined ? null : Number(metricsPort),
    ...(metricsHost === undefined ? {} : { metricsHost }),
  });
  const service = create(config);
  let stopping = false;
  const stop = async (signal: string): Promise<void> => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'draining');
    await service.stop();
    await telemetry.shutdown();
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));
  const { address, healthAddress } = await service.start();
  await service.ready();
  if (stopping) return;
  const readiness = { address, metrics: telemetry.metricsAddress, health: healthAddress };
  if (readyFile !== null) await writeReadyFile(readyFile, readiness);
  logger.info(readiness, 'ready');
}
