import { createCommand } from './command';
import type { ConfigDefinition, ConfigOption } from './define-config';

/** The help of a program: each setting's flag, environment variable, default and reason. */
export function helpText(definition: ConfigDefinition<Readonly<Record<string, ConfigOption>>>): string {
  const precedence =
    'Flags win over the environment, the environment over the file, the file over the defaults.';
  return `${createCommand(definition).helpInformation()}\n${precedence}\n`;
}

/** Whether the command line asks for help. */
export function helpRequested(argv: readonly string[] = process.argv.slice(2)): boolean {
  return argv.includes('--help') || argv.includes('-h');
}
