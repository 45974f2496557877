import type { z } from 'zod';

/** One setting of a program. */
export interface ConfigOption {
  /** What values are sound. Values from flags and environment are text: they are read as YAML where the text itself does not fit. */
  readonly schema: z.ZodType;
  /** Value if nobody gives one; without it the setting must be given. */
  readonly default?: unknown;
  /** Flag without dashes; else the key in kebab-case. */
  readonly flag?: string;
  /** Environment variable; else `DMOERM_<PROGRAM>_<KEY>`. */
  readonly env?: string;
  /** What it does and when to change it, as one sentence for people. */
  readonly why: string;
  /** Whether its value must not be shown. */
  readonly secret?: boolean;
}

/** All settings of a program. */
export interface ConfigDefinition<O extends Readonly<Record<string, ConfigOption>>> {
  /** Name of the program, e.g. `router`. */
  readonly name: string;
  readonly description: string;
  readonly options: O;
}

/** The settings' values. */
export type ConfigOf<D> =
  D extends ConfigDefinition<infer O> ? { readonly [K in keyof O]: z.output<O[K]['schema']> } : never;

/** Declares the settings of a program, once. Throws at once if a default does not fit its schema. */
export function defineConfig<const O extends Readonly<Record<string, ConfigOption>>>(
  definition: ConfigDefinition<O>,
): ConfigDefinition<O> {
  for (const option of Object.values(definition.options)) {
    if (option.default !== undefined) option.schema.parse(option.default);
  }
  return definition;
}

/** How a setting can be given. */
export interface OptionNames {
  /** With dashes, e.g. `--max-items`. */
  readonly flag: string;
  /** e.g. `DMOERM_ROUTER_MAX_ITEMS`. */
  readonly env: string;
}

/** Flag and environment variable of a setting. */
export function optionNames(
  program: string,
  key: string,
  option: Pick<ConfigOption, 'flag' | 'env'>,
): OptionNames {
  const words = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return {
    flag: `--${option.flag ?? words.replaceAll('_', '-')}`,
    env: option.env ?? `DMOERM_${program}_${words}`.replaceAll('-', '_').toUpperCase(),
  };
}
