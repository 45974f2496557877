import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { readDocument } from '@dmoerm/service-gateway';
import Ajv2020, { type ValidateFunction } from 'ajv/dist/2020';

/** What came back. */
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly json: unknown;
}

/** A request to an operation. */
export interface Ask {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  /** Sent as JSON; a string as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

interface DocumentedHeader {
  readonly $ref?: string;
  readonly required?: boolean;
  readonly schema?: object;
}
interface DocumentedResponse {
  readonly $ref?: string;
  readonly headers?: Readonly<Record<string, DocumentedHeader>>;
}
type Paths = Readonly<
  Record<
    string,
    Readonly<Record<string, { operationId: string; responses: Record<string, DocumentedResponse> }>>
  >
>;

/** Holds every answer against the OpenAPI document, and remembers which of the documented ones were seen. */
export class Documented {
  readonly seen = new Set<string>();
  private readonly content = readDocument().content as {
    readonly paths: Paths;
    readonly components: Readonly<Record<string, Readonly<Record<string, object>>>>;
  };
  private readonly ajv = new Ajv2020({ strict: false, allErrors: true }).addSchema(
    this.content,
    'openapi',
    true,
  );
  private readonly validators = new Map<string, ValidateFunction>();

  /** Operations and statuses of the document, e.g. `score 200`. */
  get all(): string[] {
    return Object.values(this.content.paths).flatMap((methods) =>
      Object.values(methods).flatMap(({ operationId, responses }) =>
        Object.keys(responses).map((status) => `${operationId} ${status}`),
      ),
    );
  }

  /** Makes a request. @throws Error if the answer is not as the document says. */
  async ask(base: string, { method = 'POST', path, body, headers, signal }: Ask): Promise<Reply> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    // Not fetch: it does not let its callers choose the host's name.
    const sent = request(`${base}${path}`, {
      method,
      headers: {
        ...(text !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
        }),
        ...headers,
      },
      ...(signal !== undefined && { signal }),
    });
    sent.end(text);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    const got = await json(response);
    const reply = {
      status: response.statusCode ?? 0,
      headers: new Headers(response.headers as Record<string, string>),
      json: got,
    };
    this.check(method, path.split('?')[0] ?? '', reply);
    return reply;
  }

  private check(method: string, path: string, { status, headers, json: got }: Reply): void {
    const operation = this.content.paths[path]?.[method.toLowerCase()];
    if (operation === undefined) throw new Error(`${method} ${path} is not documented`);
    const steps = ['paths', path, method.toLowerCase(), 'responses', `${status}`];
    const named = operation.responses[status];
    if (named === undefined)
      throw new Error(`${operation.operationId} answers ${status}, undocumented: ${JSON.stringify(got)}`);
    const at = named.$ref?.slice(2) ?? steps.map(escape).join('/');
    const response = named.$ref === undefined ? named : this.component<DocumentedResponse>(named.$ref);
    for (const [name, documented] of Object.entries(response.headers ?? {})) {
      const { required = false, schema = {} } =
        documented.$ref === undefined ? documented : this.component<DocumentedHeader>(documented.$ref);
      const value = headers.get(name);
      if (value === null ? required : !this.ajv.validate(schema, value))
        throw new Error(`${operation.operationId} ${status}: header ${name} is ${value}`);
    }
    if (headers.get('content-type') !== 'application/json; charset=utf-8') throw new Error('it is no JSON');
    const accepts = this.validator(`openapi#/${at}/content/application~1json/schema`);
    if (!accepts(got))
      throw new Error(
        `${operation.operationId} ${status}: ${this.ajv.errorsText(accepts.errors)}: ${JSON.stringify(got)}`,
      );
    this.seen.add(`${operation.operationId} ${status}`);
  }

  private component<T extends object>(reference: string): T {
    const [, kind = '', name = ''] = /^#\/components\/(\w+)\/(\w+)$/.exec(reference) ?? [];
    return this.content.components[kind]?.[name] as T;
  }

  private validator(reference: string): ValidateFunction {
    const known = this.validators.get(reference) ?? this.ajv.compile({ $ref: reference });
    this.validators.set(reference, known);
    return known;
  }
}

function escape(step: string): string {
  return step.replaceAll('~', '~0').replaceAll('/', '~1');
}
