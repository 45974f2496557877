import { readFileSync } from 'node:fs';
import { DmoermError, invalidArgument } from '@dmoerm/core';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Taxonomy } from './taxonomy';

const name = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'a name has letters, digits, "_", "." or "-"');
const taxonomySchema = z.record(
  name,
  z.array(z.strictObject({ name, definition: z.string().trim().min(1) })).min(1),
);
const price = z.number().nonnegative().finite();
const pricesSchema = z.strictObject({
  currency: z.string().min(1).max(8),
  models: z.record(z.string(), z.strictObject({ input_per_million: price, output_per_million: price })),
});

/** What a model's tokens cost. */
export interface Price {
  /** Name of the currency, e.g. `USD`; shown, never converted. */
  readonly currency: string;
  /** Per million prompt tokens. */
  readonly inputPerMillion: number;
  /** Per million completion tokens. */
  readonly outputPerMillion: number;
}

/**
 * Reads a taxonomy: YAML or JSON, `task: [{name, definition}, ...]`.
 * @throws DmoermError NOT_FOUND; INVALID_ARGUMENT, field `--taxonomy`: not of that form, or a name twice in a task.
 */
export function readTaxonomy(file: string): Taxonomy {
  const taxonomy = read(file, '--taxonomy', taxonomySchema, 'task: [{name: logic, definition: "..."}, ...]');
  for (const [task, capabilities] of Object.entries(taxonomy)) {
    const names = capabilities.map((capability) => capability.name);
    const twice = names.find((one, i) => names.indexOf(one) !== i);
    if (twice !== undefined)
      throw invalidArgument('--taxonomy', 'BAD_TAXONOMY', `${file}: ${task} has ${twice} twice; remove one`);
  }
  return taxonomy;
}

/**
 * The price of `model` in a price table: YAML or JSON, `{currency, models: {name: {input_per_million, output_per_million}}}`.
 * @throws DmoermError NOT_FOUND; INVALID_ARGUMENT, field `--prices`: not of that form, or the model is not in it.
 */
export function readPrice(file: string, model: string): Price {
  const form = '{currency: USD, models: {NAME: {input_per_million: 0.1, output_per_million: 0.4}}}';
  const { currency, models } = read(file, '--prices', pricesSchema, form);
  const own = Object.hasOwn(models, model) ? models[model] : undefined;
  if (own === undefined)
    throw invalidArgument(
      '--prices',
      'NO_PRICE',
      `${file} has no price of ${model}, only of ${Object.keys(models).join(', ') || 'nothing'}; add it under models`,
    );
  return { currency, inputPerMillion: own.input_per_million, outputPerMillion: own.output_per_million };
}

function read<T>(file: string, flag: string, schema: z.ZodType<T>, form: string): T {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new DmoermError({
      code: 'NOT_FOUND',
      reason: 'FILE_NOT_FOUND',
      field: flag,
      message: `cannot read ${file}; ${flag} names a YAML or JSON file`,
      cause,
    });
  }
  let content: unknown;
  try {
    content = parse(text);
  } catch {
    throw invalidArgument(flag, 'BAD_FILE', `${file} is neither YAML nor JSON; it has the form ${form}`);
  }
  const parsed = schema.safeParse(content);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalidArgument(
    flag,
    'BAD_FILE',
    `${file}: ${issue?.path.join('.') || 'the file'}: ${issue?.message}; it has the form ${form}`,
  );
}
