import { DmoermError } from '@dmoerm/core';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/**
 * Reads a YAML or JSON file of settings.
 * @throws DmoermError NOT_FOUND if it cannot be read, INVALID_ARGUMENT if it is not a mapping.
 */
export function readConfigFile(path: string): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'CONFIG_FILE_UNREADABLE',
      message: `cannot read the configuration file ${path}; give an existing file with --config, or none`,
      metadata: { path },
      cause,
    });
  }
  let content: unknown;
  try {
    content = parse(text, { logLevel: 'error' }) ?? {};
  } catch {
    throw notMapping(path);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) throw notMapping(path);
  return content as Record<string, unknown>;
}

// The parser's own words, its warnings too, quote the file, which may hold secrets: they stay out.
function notMapping(path: string): DmoermError {
  return new DmoermError({
    code: 'INVALID_ARGUMENT',
    reason: 'CONFIG_FILE_INVALID',
    message: `the configuration file ${path} is not valid YAML or JSON of the form "key: value"`,
    metadata: { path },
  });
}
