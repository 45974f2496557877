import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Longest time for one answer, ms: a peer that hangs must not hang the bench. */
const ANSWER_TIMEOUT_MS = 600_000;
/** How much of a peer's standard error a failure shows. */
const STDERR_TAIL = 2000;

/** What a peer says when it is ready. */
interface Greeting {
  readonly version: string;
}

/** A long-lived child that answers requests, JSON lines on its standard streams, one at a time. */
export class PeerProcess implements AsyncDisposable {
  private stderr = '';
  private waiting: ((answer: unknown) => void) | null = null;
  /** Why it answers no more. */
  private ended: string | null = null;

  private constructor(
    private readonly name: string,
    private readonly child: ChildProcessWithoutNullStreams,
    /** Of the software it runs. */
    public version: string,
  ) {
    child.stderr.on('data', (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString()).slice(-STDERR_TAIL);
    });
    // Libraries may print on standard output too; answers alone are JSON objects.
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) this.settle(JSON.parse(line));
    });
    child.on('error', (error) => this.end(error.message));
    child.on('exit', (code, signal) => this.end(`it ended with ${signal ?? `status ${code}`}`));
    // What is written to a child that has just ended; `exit` tells it.
    child.stdin.on('error', () => undefined);
  }

  /** Starts it and waits until it is ready. */
  static async start(name: string, command: string, args: readonly string[]): Promise<PeerProcess> {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const peer = new PeerProcess(name, child, 'unknown');
    const { version } = await peer.answer<Greeting>();
    peer.version = version;
    return peer;
  }

  /**
   * Asks for something and waits for the answer.
   * @throws Error with what the peer printed, if it fails
   */
  async ask<Answer>(request: object): Promise<Answer> {
    const answer = this.answer<Answer>();
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
    return answer;
  }

  private async answer<Answer>(): Promise<Answer> {
    if (this.ended !== null) throw new Error(`${this.name}: ${this.ended}\n${this.stderr.trim()}`);
    let timer: NodeJS.Timeout | undefined;
    const answer = await new Promise<unknown>((resolve) => {
      this.waiting = resolve;
      timer = setTimeout(() => this.settle({ error: 'no answer in time' }), ANSWER_TIMEOUT_MS);
    });
    clearTimeout(timer);
    const { error } = answer as { error?: string };
    if (error !== undefined) throw new Error(`${this.name}: ${error}\n${this.stderr.trim()}`);
    return answer as Answer;
  }

  private end(why: string): void {
    this.ended = why;
    this.settle({ error: why });
  }

  private settle(answer: unknown): void {
    this.waiting?.(answer);
    this.waiting = null;
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill();
    await gone;
  }
}
