import type { ScoreItem } from '@dmoerm/client';
import type { CertificateFilesOf } from '@dmoerm/testing';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';

const PORT = 8080;
const TIMEOUT_MS = 30_000;
/** Tries of a call, each at the next gateway. */
const TRIES = 4;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

interface Scored {
  readonly results: readonly {
    readonly candidates?: readonly { readonly reward?: number; readonly degraded?: boolean }[];
  }[];
}

/** Calls gateways over HTTPS in turns; where one is not there or ends, the next is asked, as a balancer before them does. */
export class GatewayCaller {
  private readonly agent: Agent;
  private turn = 0;

  constructor(
    private readonly ips: readonly string[],
    ca: string,
    identity: CertificateFilesOf | null,
  ) {
    this.agent = new Agent({
      keepAlive: true,
      servername: 'dmoerm-gateway',
      ca: readFileSync(ca),
      ...(identity !== null && {
        cert: readFileSync(identity.certificate),
        key: readFileSync(identity.key),
      }),
    });
  }

  /** Rewards of an item, NaN where there is none or a lesser one. @throws Error whose reason is the HTTP status. */
  async score(item: ScoreItem): Promise<readonly number[]> {
    const { status, text } = await this.call('POST', '/v1/score', bodyOf(item));
    if (status !== 200) throw Object.assign(new Error(text), { reason: `HTTP_${status}` });
    const [result] = (JSON.parse(text) as Scored).results;
    return (result?.candidates ?? []).map(({ reward, degraded }) => (degraded ? NaN : (reward ?? NaN)));
  }

  /** The HTTP status that a call with an item gets. */
  async statusOf(item: ScoreItem): Promise<number> {
    return (await this.call('POST', '/v1/score', bodyOf(item))).status;
  }

  /** What is served at `/`. */
  async page(): Promise<{ status: number; html: boolean }> {
    const { status, type, text } = await this.call('GET', '/');
    return { status, html: type.startsWith('text/html') && /<script[^>]* src="/.test(text) };
  }

  /** Gives its connections up. */
  close(): void {
    this.agent.destroy();
  }

  private async call(method: string, path: string, body?: string): Promise<Answer> {
    // Of its own: with a common one, calls at once could each meet the same gateway again.
    const first = this.turn++;
    for (let tries = 1; ; tries++) {
      const ip = this.ips[(first + tries) % this.ips.length] ?? '';
      try {
        const answer = await this.once(ip, method, path, body);
        if (answer.status !== 503 || tries === TRIES) return answer;
      } catch (error) {
        if (tries === TRIES) throw error;
      }
    }
  }

  private once(ip: string, method: string, path: string, body?: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const call = request(
        {
          agent: this.agent,
          host: ip,
          port: PORT,
          method,
          path,
          timeout: TIMEOUT_MS,
          headers: body === undefined ? {} : { 'content-type': 'application/json' },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('error', reject);
          response.on('data', (chunk: string) => (text += chunk));
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              type: response.headers['content-type'] ?? '',
              text,
            }),
          );
        },
      );
      call.on('error', reject).on('timeout', () => call.destroy(new Error(`${ip} does not answer`)));
      call.end(body);
    });
  }
}

function bodyOf({ prompt, candidates }: ScoreItem): string {
  if (prompt.type !== 'conversation') throw new Error('examples are conversations');
  return JSON.stringify({ items: [{ messages: prompt.messages, candidates }] });
}
