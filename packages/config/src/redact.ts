import type { ConfigDefinition, ConfigOption } from './define-config';

/** The settings as a log may show them: secrets that are set appear as `(secret)`. */
export function redact(
  definition: ConfigDefinition<Readonly<Record<string, ConfigOption>>>,
  config: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => {
      const hidden = definition.options[key]?.secret === true && value !== null;
      return [key, hidden ? '(secret)' : value];
    }),
  );
}
