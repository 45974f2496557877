import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** A parameter of an operation. */
export interface Parameter {
  readonly name: string;
  readonly schema: object;
}

/** An operation of the document. */
export interface Operation {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Whether everybody may call it. */
  readonly open: boolean;
  /** Whether trainers call it: what does not pass with time is then no reward, and what does is UNAVAILABLE. */
  readonly forTrainers: boolean;
  readonly parameters: readonly Parameter[];
  /** JSON pointer to the schema of its body; null: it has none. */
  readonly body: string | null;
}

interface Reference {
  readonly $ref: string;
}
interface DocumentOperation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly security?: readonly object[];
  readonly parameters?: readonly (Reference | Parameter)[];
  readonly requestBody?: object;
}

/** The OpenAPI document: what is served, and what requests are held against. */
export interface ApiDocument {
  readonly content: object;
  /** By `operationId`. */
  readonly operations: ReadonlyMap<string, Operation>;
}

/** Reads the document beside this package. */
export function readDocument(): ApiDocument {
  const file = join(__dirname, '..', 'openapi.yaml');
  const content = parse(readFileSync(file, 'utf8')) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentOperation>>>>;
    readonly components: { readonly parameters: Readonly<Record<string, Parameter>> };
  };
  const resolve = (parameter: Reference | Parameter): Parameter =>
    '$ref' in parameter
      ? (content.components.parameters[parameter.$ref.split('/').at(-1) ?? ''] as Parameter)
      : parameter;
  const operations = Object.entries(content.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]): [string, Operation] => [
      one.operationId,
      {
        method: method.toUpperCase() as Operation['method'],
        path,
        open: one.security?.length === 0,
        forTrainers: one.tags.includes('trainers'),
        parameters: (one.parameters ?? []).map(resolve),
        body: one.requestBody === undefined ? null : bodyPointer(path, method),
      },
    ]),
  );
  return { content, operations: new Map(operations) };
}

function bodyPointer(path: string, method: string): string {
  const steps = ['paths', path, method, 'requestBody', 'content', 'application/json', 'schema'];
  return `#/${steps.map((step) => step.replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`;
}
