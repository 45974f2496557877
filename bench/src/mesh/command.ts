import { Command } from 'commander';
import { addCommonOptions, type CommonOptions } from '../options';
import { report } from '../report';
import { benchMesh } from './mesh';

/** `npm run bench -- mesh`. */
export function meshCommand(): Command {
  const command = new Command('mesh')
    .description(
      'What router, gRPC and aggregator cost beside the engine: latency added to a small request, and throughput under load\n' +
        "against the engine alone, in turns. Starts `dmoerm serve` on loopback. The expert's settings ($DMOERM_EXPERT_WEIGHT_TYPE,\n" +
        '$DMOERM_EXPERT_ISA, $DMOERM_EXPERT_MAX_BATCH_TOKENS) count for both.',
    )
    .option('--bundle <ref>', 'directory, digest or known name', 'smollm2-135m');
  return addCommonOptions(command).action(async (options: CommonOptions & { bundle: string }) => {
    const size = options.quick
      ? { rounds: 1, requests: 30, items: 16 }
      : { rounds: 3, requests: 100, items: 64 };
    await report(await benchMesh({ ...options, ...size }), options);
  });
}
