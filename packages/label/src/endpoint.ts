import { DmoermError, invalidArgument, type Message } from '@dmoerm/core';
import { z } from 'zod';
import { toStatusError, unreachable } from './endpoint-error';

const text = z.string().nullish();
const answerSchema = z.object({
  model: text.catch(null),
  system_fingerprint: text.catch(null),
  choices: z
    .array(z.object({ finish_reason: text, message: z.object({ content: text, refusal: text }) }))
    .min(1),
  usage: z
    .object({
      prompt_tokens: z.number().int().nonnegative(),
      completion_tokens: z.number().int().nonnegative(),
    })
    .nullish()
    .catch(null),
});

/** An endpoint's answer. */
export interface Answer {
  readonly model: string | null;
  readonly systemFingerprint: string | null;
  readonly content: string | null;
  readonly refusal: string | null;
  readonly finishReason: string | null;
  /** Tokens; null where the endpoint tells none. */
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number } | null;
}

/** Where to ask. */
export interface EndpointOptions {
  /** Address before `/chat/completions`, e.g. `http://127.0.0.1:8000/v1`. */
  readonly url: string;
  /** Sent as a bearer token; null for an endpoint without keys. It is never written anywhere. */
  readonly apiKey: string | null;
  /** Longest time for one answer, milliseconds. */
  readonly timeoutMs: number;
}

/** An OpenAI-compatible endpoint. */
export interface Endpoint {
  /**
   * Asks once.
   * @throws DmoermError by HTTP status (`toStatusError`); UNAVAILABLE for network errors and answers that are no chat completion;
   *   DEADLINE_EXCEEDED after the timeout.
   */
  complete(parameters: Readonly<Record<string, unknown>>, messages: readonly Message[]): Promise<Answer>;
}

/**
 * A client of an endpoint, over fetch. It never follows a redirect: the key would go where nobody sent it.
 * @throws DmoermError INVALID_ARGUMENT, field `--url`: no http(s) address, or one with a password in it.
 */
export function createEndpoint({ url, apiKey, timeoutMs }: EndpointOptions): Endpoint {
  const address = `${checkUrl(url).replace(/\/+$/, '')}/chat/completions`;
  // An endpoint that repeats what it was sent must not carry the key into a file.
  const redact = (said: string): string => (apiKey === null ? said : said.replaceAll(apiKey, '[key]'));
  return {
    complete: async (parameters, messages) => {
      let response: Response;
      let body: string;
      try {
        response = await fetch(address, {
          method: 'POST',
          redirect: 'manual',
          signal: AbortSignal.timeout(timeoutMs),
          headers: {
            'content-type': 'application/json',
            accept: 'application/json',
            ...(apiKey === null ? {} : { authorization: `Bearer ${apiKey}` }),
          },
          body: JSON.stringify({ ...parameters, messages }),
        });
        body = await response.text();
      } catch (error) {
        throw unreachable(error, url, timeoutMs);
      }
      if (!response.ok) throw toStatusError(response.status, response.headers, redact(body));
      return readAnswer(body, redact);
    },
  };
}

function readAnswer(body: string, redact: (said: string) => string): Answer {
  let answer: z.infer<typeof answerSchema>;
  try {
    answer = answerSchema.parse(
      JSON.parse(body, (_, value: unknown) => (typeof value === 'string' ? redact(value) : value)),
    );
  } catch {
    throw new DmoermError({
      code: 'UNAVAILABLE',
      reason: 'NO_COMPLETION',
      field: 'endpoint',
      message: 'the endpoint answered 200 with something that is no chat completion; check --url',
      metadata: { sent: 'yes' },
    });
  }
  const { model, system_fingerprint, choices, usage } = answer;
  const choice = choices[0];
  return {
    model: model ?? null,
    systemFingerprint: system_fingerprint ?? null,
    content: choice?.message.content ?? null,
    refusal: choice?.message.refusal ?? null,
    finishReason: choice?.finish_reason ?? null,
    usage: usage ? { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens } : null,
  };
}

function checkUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol))
    throw invalidArgument(
      '--url',
      'BAD_URL',
      '--url is no http(s) address; give one like http://127.0.0.1:8000/v1',
    );
  if (parsed.username !== '' || parsed.password !== '')
    throw invalidArgument(
      '--url',
      'BAD_URL',
      '--url has a user or password in it; put the key into OPENAI_API_KEY',
    );
  return url;
}
