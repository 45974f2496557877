import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createEndpoint } from './endpoint';
import { estimateLabelling, label, type LabellingResult } from './labelling';
import {
  startEndpoint,
  perfect,
  say,
  USAGE,
  type Asked,
  type FakeEndpoint,
  type Reaction,
} from './spec-support/fake-endpoint';
import { ASK, comparisonsOf, optionsFor, readLines } from './spec-support/fixtures';

let endpoint: FakeEndpoint | null = null;
afterEach(async () => endpoint?.close());

async function start(react: (asked: Asked, number: number) => Reaction | Promise<Reaction>): Promise<string> {
  endpoint = await startEndpoint(react);
  return endpoint.url;
}
const asked = (): readonly Asked[] => endpoint?.asked ?? [];
const KEY = 'sk-very-secret-0123456789';
const price = { currency: 'USD', inputPerMillion: 1_000, outputPerMillion: 1_000 };
/** What one answer of the fake endpoint costs. */
const COST = ((USAGE.prompt_tokens + USAGE.completion_tokens) * 1_000) / 1e6;

describe('a labeller', () => {
  it('that knows the truth labels everything, in records for training', async () => {
    const options = optionsFor(await start(perfect));
    const result = await label(options);
    expect(result).toMatchObject({
      complete: true,
      stopped: null,
      answered: 12,
      labels: { kept: 6, ties: 0, file: 'labels.jsonl' },
      usage: { prompt_tokens: 12 * USAGE.prompt_tokens },
    });
    const records = readLines(options.output, 'labels.jsonl');
    expect(records.map(({ chosen }) => chosen)).toEqual([1, 3, 5, 7, 9, 11].map((n) => `answer ${n}`));
    expect(records[0]).toMatchObject({
      tie: false,
      task: 'chat',
      capability: 'logic',
      prompt_id: 'p0',
      split: 'train',
      licence: 'CC0-1.0',
      labeler: 'llm:fake',
    });
  });

  it('that always takes the first yields no label, where one order alone would have labelled all', async () => {
    const options = optionsFor(await start(() => say('1')));
    const result = await label(options);
    expect(result).toMatchObject({ complete: true, labels: { kept: 0, ties: 0 } });
    expect(result.all).toMatchObject({ inconsistent: 6, keepRate: 0, gate: 'failed' });
    expect(result.all.position.firstWins).toMatchObject({ value: 1, count: 12 });
    expect(readLines(options.output, 'labels.jsonl')).toEqual([]);
    const forward = readLines(options.output, 'audit.jsonl').filter(({ order }) => order === 'forward');
    expect(forward.map(({ verdict }) => verdict)).toEqual(Array(6).fill('1'));
  });

  it('that agrees with people opens the gate; one that contradicts them does not', async () => {
    const comparisons = comparisonsOf(20, 'second');
    expect((await label(optionsFor(await start(perfect), { comparisons }))).all).toMatchObject({
      gate: 'passed',
      agreement: { kept: { raw: 1, kappa: 1 } },
    });
    await endpoint?.close();
    const contrary = (one: Asked): Reaction => {
      const [a, b] = one.shown;
      return perfect({ ...one, shown: [b, a] });
    };
    expect((await label(optionsFor(await start(contrary), { comparisons }))).all).toMatchObject({
      gate: 'failed',
      keepRate: 1,
      agreement: { kept: { raw: 0 } },
    });
  });

  it('that ties stores ties', async () => {
    const options = optionsFor(await start(() => say('tie')));
    expect((await label(options)).labels).toMatchObject({ kept: 0, ties: 6 });
    expect(readLines(options.output, 'labels.jsonl').every(({ tie }) => tie === true)).toBe(true);
  });

  it('is asked again in the same order where repetitions are wanted', async () => {
    const result = await label(optionsFor(await start(perfect), { repeatShare: 1 }));
    expect(result).toMatchObject({ questions: 18, complete: true });
    expect(result.all.position.repeatFlips).toMatchObject({ value: 0, count: 6 });
  });
});

describe('what is no verdict', () => {
  it.each<[string, Reaction, Partial<LabellingResult['all']>, number]>([
    ['a refusal', { type: 'say', content: '', refusal: 'I cannot judge that' }, { refused: 6 }, 12],
    ['a content filter', { type: 'say', content: null, finish: 'content_filter' }, { refused: 6 }, 12],
    ['silence', { type: 'say', content: '' }, { refused: 6 }, 12],
    ['chatter', { type: 'say', content: '1 is worse than 2' }, { unparsable: 6 }, 24],
    ['a cut reply', { type: 'say', content: '{"winner":"1"', finish: 'length' }, { truncated: 6 }, 24],
  ])('%s becomes no label', async (_, reaction, counts, requests) => {
    const options = optionsFor(await start(() => reaction));
    const result = await label(options);
    expect(result).toMatchObject({ complete: true, labels: { kept: 0, ties: 0 } });
    expect(result.all).toMatchObject(counts);
    expect(asked()).toHaveLength(requests);
  });

  it('is repaired once, in the same conversation', async () => {
    const result = await label(
      optionsFor(
        await start((one) =>
          one.body.messages.length === 2 ? { type: 'say', content: 'The 2nd, I think' } : perfect(one),
        ),
      ),
    );
    expect(result.labels.kept).toBe(6);
    const repair = asked().find(({ body }) => body.messages.length > 2);
    expect(repair?.body.messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user']);
    expect(repair?.body.messages[2]?.content).toBe('The 2nd, I think');
  });

  it('gets four times the room once if it was cut', async () => {
    const react = (one: Asked): Reaction =>
      one.body['max_tokens'] === 4 * ASK.maxTokens
        ? perfect(one)
        : { type: 'say', content: 'Let me', finish: 'length' };
    expect((await label(optionsFor(await start(react)))).labels.kept).toBe(6);
  });
});

describe('a request', () => {
  it('asks for a verdict by JSON schema at temperature 0, with a fresh code each time', async () => {
    await label(optionsFor(await start(perfect)));
    expect(asked()[0]?.body).toMatchObject({
      model: 'fake',
      temperature: 0,
      max_tokens: 32,
      response_format: { type: 'json_schema', json_schema: { strict: true } },
    });
    const codes = asked().map(({ body }) => /code ([0-9a-f]{16})/.exec(body.messages[0]?.content ?? '')?.[1]);
    expect(new Set(codes).size).toBe(12);
  });

  it('takes members away and adds others where it is told to', async () => {
    const ask = { ...ASK, structured: false, extra: { temperature: null, seed: 7 } };
    await label(optionsFor(await start(perfect), { ask }));
    expect(asked()[0]?.body).toMatchObject({ seed: 7 });
    expect(asked()[0]?.body).not.toHaveProperty('temperature');
    expect(asked()[0]?.body).not.toHaveProperty('response_format');
  });
});

describe('a faulty endpoint', () => {
  const FAULTS: readonly Reaction[] = [
    { type: 'raw', status: 500 },
    { type: 'raw', status: 429, headers: { 'retry-after': '0' } },
    { type: 'raw', status: 200, body: '<html>garbage</html>' },
    { type: 'raw', status: 200, body: '{"choices":[]}' },
    { type: 'reset' },
    { type: 'raw', status: 503 },
    { type: 'raw', status: 408 },
  ];
  /** Every question fails in each of these ways before it is answered. */
  const faulty = (): ((one: Asked) => Reaction) => {
    const tries = new Map<string, number>();
    return (one) => {
      const tried = tries.get(one.question) ?? 0;
      tries.set(one.question, tried + 1);
      return FAULTS[tried] ?? perfect(one);
    };
  };

  it('costs tries, never a label', async () => {
    const options = optionsFor(await start(faulty()));
    expect(await label(options)).toMatchObject({ complete: true, failed: 0, labels: { kept: 6 } });
    expect(asked()).toHaveLength(12 * 8);
    const replies = readLines(options.output, 'audit.jsonl').filter(({ type }) => type === 'reply');
    expect(replies.map(({ tries }) => tries)).toEqual(Array(12).fill(8));
  });

  it('would win over fewer tries; what is missing is then said, and asked next time', async () => {
    const react = faulty();
    const options = optionsFor(await start(react), { retry: { tries: 3, firstMs: 1, longestMs: 2 } });
    const first = await label(options);
    expect(first).toMatchObject({ complete: false, labels: { kept: 0, file: 'labels.partial.jsonl' } });
    expect(first.stopped).toMatchObject({ code: 'UNAVAILABLE' });
    expect(existsSync(join(options.output, 'labels.jsonl'))).toBe(false);
    const again = await label(optionsFor(endpoint!.url, { output: options.output }));
    expect(again).toMatchObject({ complete: true, labels: { kept: 6 } });
    expect(existsSync(join(options.output, 'labels.partial.jsonl'))).toBe(false);
  });

  it('that never answers runs into the timeout', async () => {
    const url = await start(() => ({ type: 'hang' }));
    const options = optionsFor(url, {
      comparisons: comparisonsOf(1),
      endpoint: createEndpoint({ url, apiKey: null, timeoutMs: 50 }),
      retry: { tries: 2, firstMs: 1, longestMs: 1 },
      price,
    });
    const result = await label(options);
    expect(result).toMatchObject({ complete: false, failed: 2, answered: 0 });
    expect(asked()).toHaveLength(4);
    // Nobody knows whether those were charged, so they count.
    expect(result.cost.spent).toBeGreaterThan(4 * COST);
  });

  it('that says how long to wait is not asked before', async () => {
    const react = (one: Asked, number: number): Reaction =>
      number === 1 ? { type: 'raw', status: 429, headers: { 'retry-after-ms': '300' } } : perfect(one);
    const pace = { requestsPerMinute: null, tokensPerMinute: null, concurrency: 1 };
    await label(optionsFor(await start(react), { comparisons: comparisonsOf(1), pace }));
    const [first, second] = asked();
    expect(second?.question).toBe(first?.question);
    // QUICK alone would have come back within 2 ms.
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThan(290);
  });

  it.each([400, 401, 403, 404, 422, 302])('that says %i stops the run at once', async (status) => {
    const react = (one: Asked, number: number): Reaction =>
      number === 3 ? { type: 'raw', status, body: '{"error":{"message":"no"}}' } : perfect(one);
    const pace = { requestsPerMinute: null, tokensPerMinute: null, concurrency: 1 };
    const options = optionsFor(await start(react), { pace });
    const result = await label(options);
    expect(result.stopped).toMatchObject({ reason: `HTTP_${status}`, field: 'endpoint' });
    expect(asked()).toHaveLength(3);
    expect(readLines(options.output, 'audit.jsonl').at(-1)).toMatchObject({ type: 'stop', status });
    expect(result.stopped?.message).not.toContain('"no"');
  });

  it('that says 429 is asked by fewer at a time until it answers', async () => {
    const most = 2;
    const troubles: string[] = [];
    let crowd: () => void;
    const crowded = new Promise<void>((resolve) => (crowd = resolve));
    const react = async (one: Asked): Promise<Reaction> => {
      if (one.open > most) {
        crowd();
        return { type: 'raw', status: 429, headers: { 'retry-after': '0' } };
      }
      // The first ones stay until there are too many.
      await crowded;
      return perfect(one);
    };
    const result = await label(
      optionsFor(await start(react), {
        pace: { requestsPerMinute: null, tokensPerMinute: null, concurrency: 8 },
        retry: { tries: 50, firstMs: 1, longestMs: 5 },
        onRetry: ({ reason }) => troubles.push(reason),
      }),
    );
    expect(result).toMatchObject({ complete: true, labels: { kept: 6 } });
    expect(new Set(troubles)).toEqual(new Set(['HTTP_429']));
  });
});

describe('the budget', () => {
  it('stops the run before it is crossed; a larger one goes on without asking anything twice', async () => {
    const url = await start(perfect);
    const options = optionsFor(url, { price, budget: 20 * COST });
    const first = await label(options);
    expect(first).toMatchObject({ complete: false, stopped: { reason: 'BUDGET_REACHED' } });
    expect(first.answered).toBeGreaterThan(0);
    expect(first.cost.spent).toBeLessThanOrEqual(20 * COST);
    expect(existsSync(join(options.output, 'labels.jsonl'))).toBe(false);
    const second = await label({ ...options, budget: 1_000 });
    expect(second).toMatchObject({ complete: true, labels: { kept: 6 } });
    expect(asked()).toHaveLength(12);
    expect(second.cost.per_kept_label).toBeCloseTo((12 * COST) / 6);
  });

  it('would have been crossed without the stop', async () => {
    const result = await label(
      optionsFor(await start(perfect), { price, comparisons: comparisonsOf(12), budget: null }),
    );
    expect(result.cost.spent).toBeGreaterThan(20 * COST);
  });

  it('is estimated without asking', async () => {
    const options = optionsFor(await start(perfect), { price });
    const before = await estimateLabelling(options);
    expect(before).toMatchObject({ comparisons: 6, questions: 12, answered: 0, currency: 'USD' });
    expect(before.costAtMost).toBeGreaterThan(before.cost ?? Infinity);
    expect(asked()).toHaveLength(0);
    expect(readdirSync(options.output)).toEqual([]);
    await label(options);
    expect(await estimateLabelling(options)).toMatchObject({ answered: 12, promptTokens: 0, cost: 0 });
  });
});

describe('an interrupted run', () => {
  it('keeps what was on its way, and goes on from there', async () => {
    const stop = new AbortController();
    const react = (one: Asked, number: number): Reaction => {
      if (number === 5) stop.abort();
      return perfect(one);
    };
    const options = optionsFor(await start(react), { signal: stop.signal });
    const first = await label(options);
    expect(first).toMatchObject({ complete: false, stopped: { reason: 'INTERRUPTED' } });
    expect(first.answered).toBe(asked().length);
    const second = await label({ ...options, signal: new AbortController().signal });
    expect(second).toMatchObject({ complete: true, labels: { kept: 6 } });
    expect(asked()).toHaveLength(12);
  });
});

describe('the key', () => {
  it('is sent, and stands in no file even where the endpoint repeats it', async () => {
    const echo = (one: Asked, number: number): Reaction =>
      number === 12
        ? { type: 'raw', status: 401, body: `{"error":"bad key ${one.authorization}"}` }
        : {
            type: 'say',
            content: `${one.authorization} {"winner":"1"}`,
            refusal: `no, ${one.authorization}`,
          };
    const url = await start(echo);
    const options = optionsFor(url, { endpoint: createEndpoint({ url, apiKey: KEY, timeoutMs: 2_000 }) });
    const result = await label(options);
    expect(asked()[0]?.authorization).toBe(`Bearer ${KEY}`);
    const files = readdirSync(options.output).map((file) => readFileSync(join(options.output, file), 'utf8'));
    expect(files.length).toBeGreaterThanOrEqual(5);
    expect(files.join('')).not.toContain(KEY);
    // The echo did arrive: without the client's care it would stand there.
    expect(files.join('')).toContain('bad key Bearer [key]');
    expect(JSON.stringify(result.stopped)).not.toContain(KEY);
  });

  it.each(['ftp://host/v1', 'host', 'http://user:pass@host/v1'])('is not sent to %s', (url) => {
    expect(() => createEndpoint({ url, apiKey: KEY, timeoutMs: 1 })).toThrow(
      expect.objectContaining({ reason: 'BAD_URL', message: expect.not.stringContaining('pass@') }),
    );
  });
});
