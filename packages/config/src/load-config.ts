import { DmoermError } from '@dmoerm/core';
import { CommanderError } from 'commander';
import { z } from 'zod';
import { FILE_OPTION, createCommand } from './command';
import { readConfigFile } from './config-file';
import { optionNames } from './define-config';
import type { ConfigDefinition, ConfigOf, ConfigOption } from './define-config';
import { readText } from './read-text';

type Options = Readonly<Record<string, ConfigOption>>;

/** Where settings come from, besides the defaults. */
export interface ConfigSources {
  /** The command line after the program's name; default that of this process. */
  readonly argv?: readonly string[];
  /** Default the environment of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Configuration file if neither flag nor environment names one. */
  readonly file?: string;
}

/**
 * The settings of a program: flags win over the environment, the environment over the file, the file over the defaults.
 * @throws DmoermError INVALID_ARGUMENT that names the setting, its source and the fix; NOT_FOUND for a missing file.
 */
export function loadConfig<O extends Options>(
  definition: ConfigDefinition<O>,
  { argv = process.argv.slice(2), env = process.env, file }: ConfigSources = {},
): ConfigOf<ConfigDefinition<O>> {
  const { name, options } = definition;
  const flags = parseFlags(definition, argv);
  const path = flags.get(FILE_OPTION) ?? env[optionNames(name, FILE_OPTION, {}).env] ?? file;
  const fromFile = path === undefined ? {} : readConfigFile(path);
  for (const key of Object.keys(fromFile)) {
    if (!(key in options)) {
      throw fault(
        key,
        'UNKNOWN_OPTION',
        `${path} sets ${key}, which ${name} does not know; see --help for its settings`,
      );
    }
  }
  const values = Object.entries(options).map(([key, option]) => {
    const names = optionNames(name, key, option);
    const flag = flags.get(names.flag);
    if (flag !== undefined) return [key, check(option, readText(option.schema, flag), names.flag)];
    const variable = env[names.env];
    if (variable) return [key, check(option, readText(option.schema, variable), names.env)];
    if (key in fromFile) return [key, check(option, fromFile[key], `${key} in ${path}`)];
    if (option.default !== undefined) return [key, option.default];
    throw fault(
      names.flag,
      'MISSING_OPTION',
      `${names.flag} is required; give it, or set ${names.env}. ${option.why}`,
    );
  });
  return Object.fromEntries(values) as ConfigOf<ConfigDefinition<O>>;
}

/** The flags given, by flag with dashes (the file's by `config`). */
function parseFlags(definition: ConfigDefinition<Options>, argv: readonly string[]): Map<string, string> {
  const command = createCommand(definition);
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const message = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
    const flag = /'(--?[^'=\s]+)/.exec(message)?.[1] ?? 'argv';
    throw fault(flag, 'UNKNOWN_OPTION', `${message}; see --help for the settings of ${definition.name}`);
  }
  const given = command.options
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .map((option) => {
      const key = option.attributeName() === FILE_OPTION ? FILE_OPTION : (option.long ?? '');
      return [key, String(command.getOptionValue(option.attributeName()))] as const;
    });
  return new Map(given);
}

function check(option: ConfigOption, value: unknown, source: string): unknown {
  const result = option.schema.safeParse(value);
  if (result.success) return result.data;
  const got = option.secret ? '' : ` (got ${JSON.stringify(value)?.slice(0, 80)})`;
  throw fault(
    source,
    'BAD_OPTION',
    `${source}: ${z.prettifyError(result.error).replace(/✖ /g, '').replace(/\s+/g, ' ')}${got}. ${option.why}`,
  );
}

function fault(field: string, reason: string, message: string): DmoermError {
  return new DmoermError({ code: 'INVALID_ARGUMENT', reason, message, field });
}
