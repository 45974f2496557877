import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import type { RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubeObject } from '../objects';

/** PEM files of an authority and of a client's certificate and key. */
export interface ApiIdentity {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** What the API server answered. */
export interface ApiAnswer {
  readonly status: number;
  /** An object, a list, or a `Status` with the reason of a failure; text where the path gives no JSON. */
  readonly body: unknown;
  /** What it warned of: fields that are unknown or deprecated, pods that Pod Security would refuse. */
  readonly warnings: readonly string[];
}

/** An event of a watch. */
export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

const UNTIL_MS = 60_000;

/** The API of a cluster over HTTPS. kubectl hides what matters here: statuses, warnings of single objects, the order of events. */
export class KubeApi {
  private readonly tls: RequestOptions;

  constructor(
    private readonly server: string,
    { ca, certificate, key }: ApiIdentity,
  ) {
    this.tls = { ca: readFileSync(ca), cert: readFileSync(certificate), key: readFileSync(key) };
  }

  /**
   * Makes a request; failures of the API are answers. Reads that the server asks to make again are made again: it does so while it begins
   * to serve a new kind. @throws Error if the server cannot be reached.
   */
  async request(method: string, path: string, body?: unknown, type = 'application/json'): Promise<ApiAnswer> {
    const response = await this.send(method, path, body, type);
    const retryAfter = response.headers['retry-after'];
    if (method === 'GET' && response.statusCode === 429 && retryAfter !== undefined) {
      response.resume();
      await sleep(Number(retryAfter) * 1e3);
      return this.request(method, path);
    }
    response.setEncoding('utf8');
    let text = '';
    for await (const chunk of response) text += String(chunk);
    const json = (response.headers['content-type'] ?? '').includes('json');
    return {
      status: response.statusCode ?? 0,
      body: json ? (JSON.parse(text) as unknown) : text,
      warnings: parseWarnings(String(response.headers['warning'] ?? '')),
    };
  }

  /** What is at a path. @throws Error with the server's reason. */
  async get<T>(path: string): Promise<T> {
    return must('GET', path, await this.request('GET', path)) as T;
  }

  /** The items of a list. @throws Error with the server's reason. */
  async list<T = KubeObject>(path: string): Promise<T[]> {
    return (await this.get<{ items: T[] }>(path)).items;
  }

  /** Whether there is something at a path. */
  async exists(path: string): Promise<boolean> {
    return (await this.request('GET', path)).status === 200;
  }

  /** Creates an object; unknown fields are errors. @throws Error with the server's reason. */
  async create(path: string, object: object): Promise<void> {
    must('POST', path, await this.request('POST', `${path}?fieldValidation=Strict`, object));
  }

  /** Changes an object by a merge patch. @throws Error with the server's reason. */
  async patch(path: string, change: object): Promise<void> {
    must('PATCH', path, await this.request('PATCH', path, change, 'application/merge-patch+json'));
  }

  /** Removes what is at a path. @throws Error with the server's reason. */
  async delete(path: string): Promise<void> {
    must('DELETE', path, await this.request('DELETE', path));
  }

  /** Tells `onEvent` of what is there now at the path of a list, and of every change, until `signal` is aborted. @throws Error if it breaks. */
  async watch<T>(path: string, onEvent: (event: WatchEvent<T>) => void, signal: AbortSignal): Promise<void> {
    const join = path.includes('?') ? '&' : '?';
    const response = await this.send('GET', `${path}${join}watch=true`, undefined, '', signal);
    if (response.statusCode !== 200) throw new Error(`watching ${path}: ${response.statusCode}`);
    try {
      for await (const line of createInterface({ input: response }))
        onEvent(JSON.parse(line) as WatchEvent<T>);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** The objects of a list, as soon as they are as `holds` says. @throws Error naming `what` if they are not within a minute. */
  async until<T extends { readonly metadata: { readonly name: string } }>(
    what: string,
    path: string,
    holds: (objects: readonly T[]) => boolean,
  ): Promise<readonly T[]> {
    const objects = new Map<string, T>();
    const end = new AbortController();
    const deadline = setTimeout(() => end.abort(), UNTIL_MS);
    let reached = false;
    const see = ({ type, object }: WatchEvent<T>): void => {
      if (type === 'DELETED') objects.delete(object.metadata.name);
      else objects.set(object.metadata.name, object);
      reached ||= holds([...objects.values()]);
      if (reached) end.abort();
    };
    await this.watch<T>(path, see, end.signal);
    clearTimeout(deadline);
    if (!reached) throw new Error(`${what}: not within ${UNTIL_MS / 1e3} s`);
    return [...objects.values()];
  }

  private send(
    method: string,
    path: string,
    body: unknown,
    type: string,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    const headers = body === undefined ? {} : { 'content-type': type };
    return new Promise((resolve, reject) => {
      const options = { ...this.tls, method, headers, ...(signal && { signal }) };
      const call = request(`${this.server}${path}`, options, resolve);
      call.on('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

/** The texts of a `Warning` header (RFC 7234, 5.5: code, agent, quoted text), which may hold several. */
export function parseWarnings(header: string): string[] {
  return [...header.matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) =>
    text.replace(/\\(.)/g, '$1'),
  );
}

/** The server's reason of a refusal. */
export function reasonOf({ status, body }: ApiAnswer): string {
  const { message = String(body) } = body as { message?: string };
  return `${status}: ${message}`;
}

function must(method: string, path: string, answer: ApiAnswer): unknown {
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${reasonOf(answer)}`);
  return answer.body;
}
