import { Command, Option } from 'commander';
import { optionNames } from './define-config';
import type { ConfigDefinition, ConfigOption } from './define-config';

const WIDTH = 110;

/** The setting that every program has: where its configuration file lies. */
export const FILE_OPTION = 'config';

/** The commander program of a definition; it neither prints nor exits. */
export function createCommand(definition: ConfigDefinition<Readonly<Record<string, ConfigOption>>>): Command {
  const { name, description, options } = definition;
  const command = new Command(name)
    .description(description)
    .usage('[options]')
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
    .configureHelp({ helpWidth: WIDTH })
    .helpOption('-h, --help', 'Show this help.');
  const file = optionNames(name, FILE_OPTION, {});
  command.addOption(
    new Option(`${file.flag} <file>`, `YAML or JSON file with settings by key. [env ${file.env}]`),
  );
  for (const [key, option] of Object.entries(options)) {
    const { flag, env } = optionNames(name, key, option);
    // A switch may stand alone: --reflection is --reflection true.
    const value = option.schema.safeParse(true).success ? '[boolean]' : '<value>';
    const fallback = option.default === undefined ? 'required' : `default ${shown(option)}`;
    command.addOption(
      new Option(`${flag} ${value}`, `${option.why} [env ${env}; ${fallback}]`).preset('true'),
    );
  }
  return command;
}

function shown(option: ConfigOption): string {
  return option.secret ? '(secret)' : JSON.stringify(option.default);
}
