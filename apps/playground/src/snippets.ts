import type { Item } from './draft';

/** Where `dmoerm serve` has its router unless told otherwise: the clients speak gRPC, not HTTP. */
const ROUTER = '127.0.0.1:50051';
/** Programs take the token from the environment: one that is copied along ends in somebody's history. */
const TOKEN = 'DMOERM_TOKEN';

/** A request as a program of one language. */
export interface Snippet {
  readonly language: 'curl' | 'Python' | 'TypeScript';
  /** What to do first. */
  readonly before: string;
  readonly code: string;
}

/**
 * The same request for a shell, Python and TypeScript.
 * @param origin of the gateway, e.g. `http://127.0.0.1:8080`.
 * @param authorised whether a token is needed; it stands in no snippet itself.
 */
export function toSnippets(item: Item, origin: string, authorised: boolean): readonly Snippet[] {
  return [
    { language: 'curl', before: 'A POSIX shell.', code: toCurl(item, origin, authorised) },
    {
      language: 'Python',
      before: 'pip install ./clients/python; the address is the router, which speaks gRPC.',
      code: toPython(item, authorised),
    },
    {
      language: 'TypeScript',
      before: 'An ES module with @dmoerm/client; the address is the router, which speaks gRPC.',
      code: toTypeScript(item, authorised),
    },
  ];
}

function toCurl(item: Item, origin: string, authorised: boolean): string {
  const lines = [
    `curl --fail-with-body ${origin}/v1/score`,
    `-H 'content-type: application/json'`,
    ...(authorised ? [`-H "authorization: Bearer $${TOKEN}"`] : []),
    `--data-binary ${quoted(JSON.stringify({ items: [item] }, null, 2))}`,
  ];
  return lines.join(' \\\n  ');
}

/** A word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function toPython({ messages = [], candidates, lambda, ...options }: Item, authorised: boolean): string {
  const named = { ...options, ...(lambda !== undefined && { lambda_: lambda }) };
  const keywords = Object.entries(named).map(([name, value]) => `, ${name}=${JSON.stringify(value)}`);
  const token = authorised ? `, token=os.environ["${TOKEN}"]` : '';
  // Strings of JSON are strings of Python too.
  return [
    ...(authorised ? ['import os', ''] : []),
    'from dmoerm import Item, RewardClient',
    '',
    'messages = [',
    ...messages.map(({ role, content }) => `    {"role": "${role}", "content": ${JSON.stringify(content)}},`),
    ']',
    'responses = [',
    ...candidates.map((text) => `    ${JSON.stringify(text)},`),
    ']',
    `with RewardClient("${ROUTER}"${token}) as client:`,
    `    items = [Item.pair(messages, response${keywords.join('')}) for response in responses]`,
    '    for score in client.score_batch(items):',
    '        print(score.reward, dict(score.capabilities))',
  ].join('\n');
}

function toTypeScript(item: Item, authorised: boolean): string {
  const { messages = [], candidates, task, routing, aggregation, lambda, ...plain } = item;
  const options = {
    ...(task !== undefined && { routing: { type: 'forced', task } }),
    ...(routing !== undefined && { routing: { type: routing } }),
    ...(aggregation !== undefined && {
      aggregation: { type: aggregation, ...(lambda !== undefined && { lambda }) },
    }),
    ...plain,
  };
  const request = {
    prompt: { type: 'conversation', messages },
    candidates,
    ...(Object.keys(options).length > 0 && { options }),
  };
  return [
    "import { createClient } from '@dmoerm/client';",
    '',
    `const client = createClient({ address: '${ROUTER}'${authorised ? `, token: process.env.${TOKEN}` : ''} });`,
    `const { candidates } = await client.score(${JSON.stringify(request, null, 2)});`,
    "for (const one of candidates) console.log(one.type === 'score' ? one.reward : one.error.message);",
    'client.close();',
  ].join('\n');
}
