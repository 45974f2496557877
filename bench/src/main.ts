import { Command } from 'commander';
import { agreementCommand } from './agreement/command';
import { capacityCommand } from './capacity/command';
import { costsCommand } from './costs/command';
import { gemmCommand } from './gemm/command';
import { generateCommand } from './generate/command';
import { loraCommand } from './lora/command';
import { meshCommand } from './mesh/command';
import { plansCommand } from './plans/command';
import { prefillCommand } from './prefill/command';
import { startCommand } from './start/command';
import { studyCommand } from './study/command';
import { trainCommand } from './train/command';

const program = new Command('npm run bench --')
  .description(
    'Measures the engine beside its peers in one run. Prints a table; --json also writes the records.',
  )
  .showHelpAfterError();

program.addCommand(agreementCommand());
program.addCommand(capacityCommand());
program.addCommand(costsCommand());
program.addCommand(gemmCommand());
program.addCommand(generateCommand());
program.addCommand(loraCommand());
program.addCommand(meshCommand());
program.addCommand(plansCommand());
program.addCommand(prefillCommand());
program.addCommand(startCommand());
program.addCommand(studyCommand());
program.addCommand(trainCommand());

program.parseAsync(process.argv).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
