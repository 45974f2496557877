import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as the endpoint saw it. */
export interface Asked {
  readonly body: Readonly<Record<string, unknown>> & {
    readonly messages: readonly { readonly role: string; readonly content: string }[];
  };
  readonly authorization: string | undefined;
  /** The two responses as they were shown. */
  readonly shown: readonly [string, string];
  /** What was asked, without the nonce: equal for equal questions. */
  readonly question: string;
  readonly atMs: number;
  /** Requests open at this moment, this one included. */
  readonly open: number;
}

/** What the endpoint does with a request. */
export type Reaction =
  | {
      readonly type: 'say';
      readonly content: string | null;
      readonly finish?: string;
      readonly refusal?: string;
    }
  | {
      readonly type: 'raw';
      readonly status: number;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** Never answers. */
  | { readonly type: 'hang' }
  /** Closes the connection without an answer. */
  | { readonly type: 'reset' };

/** A running endpoint. */
export interface FakeEndpoint {
  readonly url: string;
  readonly asked: readonly Asked[];
  close(): Promise<void>;
}

/** Prompt and completion tokens that every answer claims to have used. */
export const USAGE = { prompt_tokens: 100, completion_tokens: 10 };

/** Starts an OpenAI-compatible endpoint on a free port of this machine; `react` gets the request and its number, from 1. */
export async function startEndpoint(
  react: (asked: Asked, number: number) => Reaction | Promise<Reaction>,
): Promise<FakeEndpoint> {
  const asked: Asked[] = [];
  let open = 0;
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    open++;
    response.once('close', () => open--);
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const one = readAsked(text, request.headers.authorization, open);
    asked.push(one);
    await answer(response, await react(one, asked.length));
  };
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function readAsked(text: string, authorization: string | undefined, open: number): Asked {
  const body = JSON.parse(text) as Asked['body'];
  const user = body.messages.find(({ role }) => role === 'user')?.content ?? '';
  const nonce = /\[begin conversation ([0-9a-f]+)\]/.exec(user)?.[1] ?? '';
  const shown = [1, 2].map(
    (i) =>
      user.split(`[begin response ${i} ${nonce}]\n`)[1]?.split(`\n[end response ${i} ${nonce}]`)[0] ?? '',
  ) as [string, string];
  return {
    body,
    authorization,
    shown,
    question: JSON.stringify(body).replaceAll(nonce, ''),
    atMs: performance.now(),
    open,
  };
}

async function answer(response: ServerResponse, reaction: Reaction): Promise<void> {
  if (reaction.type === 'hang') return;
  if (reaction.type === 'reset') return void response.socket?.destroy();
  if (reaction.type === 'raw') {
    response.writeHead(reaction.status, { 'content-type': 'application/json', ...reaction.headers });
    response.end(reaction.body ?? '{}');
    return;
  }
  const { content, finish = 'stop', refusal = null } = reaction;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(
    JSON.stringify({
      model: 'fake-2026',
      system_fingerprint: 'fp_1',
      choices: [{ index: 0, finish_reason: finish, message: { role: 'assistant', content, refusal } }],
      usage: USAGE,
    }),
  );
}

/** A verdict as a well-behaved labeller writes it. */
export function say(winner: '1' | '2' | 'tie'): Reaction {
  return { type: 'say', content: `{"winner":"${winner}"}` };
}

/** Knows the truth: the response with the larger number in it is better. */
export function perfect({ shown: [one, two] }: Asked): Reaction {
  const quality = (text: string): number => Number(/\d+/.exec(text)?.[0] ?? 0);
  return say(quality(one) === quality(two) ? 'tie' : quality(one) > quality(two) ? '1' : '2');
}
