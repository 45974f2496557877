import { DmoermError, invalidArgument } from '@dmoerm/core';
import Ajv2020 from 'ajv/dist/2020';
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020';
import type { ApiDocument, Operation } from './document';

const KEY = 'openapi';

/** Checks what comes in. */
export interface Validator {
  /** @throws DmoermError INVALID_ARGUMENT, reason `BAD_REQUEST`, that names the field. */
  body(value: unknown): void;
  /**
   * Numbers among the parameters are read as such, in place.
   * @throws DmoermError INVALID_ARGUMENT, reason `BAD_PARAMETER`, that names it; unknown ones too: a misspelt one would be ignored.
   */
  query(value: Record<string, unknown>): void;
}

/** Makes the validators of a document's operations. Nothing is coerced, dropped or filled in: what is checked is what was sent. */
export function createValidators({ content }: ApiDocument): (operation: Operation) => Validator {
  const options = { strict: false, validateFormats: false } as const;
  const bodies = new Ajv2020(options).addSchema(content, KEY, true);
  const queries = new Ajv2020({ ...options, coerceTypes: true }).addSchema(content, KEY, true);
  return ({ parameters, body }) => {
    const checkBody = body === null ? null : bodies.compile({ $ref: `${KEY}${body}` });
    const properties = Object.fromEntries(parameters.map(({ name, schema }) => [name, within(schema)]));
    const checkQuery = queries.compile({ type: 'object', additionalProperties: false, properties });
    return {
      body: (value) => {
        if (checkBody !== null) check(checkBody, value, 'BAD_REQUEST', 'body');
      },
      query: (value) => check(checkQuery, value, 'BAD_PARAMETER', 'query'),
    };
  };
}

/** A schema of the document, as one outside of it may use it. */
function within(schema: object): object {
  return '$ref' in schema ? { $ref: `${KEY}${String(schema.$ref)}` } : schema;
}

function check(accepts: ValidateFunction, value: unknown, reason: string, whole: string): void {
  if (accepts(value)) return;
  const [error] = accepts.errors ?? [];
  if (error === undefined) throw new DmoermError({ code: 'INVALID_ARGUMENT', reason, message: 'not valid' });
  const { field, message } = explain(error);
  throw invalidArgument(field === '' ? whole : field, reason, `${field === '' ? whole : field} ${message}`);
}

/** Ajv's words with the names that they leave out; never a value, which may be a prompt. */
function explain({ instancePath, keyword, params, message = 'is not valid' }: ErrorObject): {
  readonly field: string;
  readonly message: string;
} {
  const at = instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (keyword === 'additionalProperties')
    return { field: path([...at, String(params['additionalProperty'])]), message: 'is not known here' };
  if (keyword === 'required')
    return { field: path([...at, String(params['missingProperty'])]), message: 'is missing' };
  if (keyword === 'enum')
    return {
      field: path(at),
      message: `must be one of ${(params['allowedValues'] as unknown[]).join(', ')}`,
    };
  if (keyword === 'const')
    return { field: path(at), message: `must be ${JSON.stringify(params['allowedValue'])}` };
  return { field: path(at), message };
}

/** `['items', '3', 'messages']` as `items[3].messages`; long names of callers are cut. */
function path(steps: readonly string[]): string {
  return steps
    .map((step, i) => (/^\d+$/.test(step) ? `[${step}]` : `${i > 0 ? '.' : ''}${step.slice(0, 64)}`))
    .join('');
}
