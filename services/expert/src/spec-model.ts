import { DmoermError, groupBy } from '@dmoerm/core';
import { createFakeEngine } from '@dmoerm/engine';
import type { Engine } from '@dmoerm/engine';
import { prepareItem } from '@dmoerm/model';
import type { CandidateOutput, Model, PreparedItem } from '@dmoerm/model';

/** Width of the fake engine's embeddings. */
export const HIDDEN_SIZE = 4;
/** Most characters of prompt and candidate together. */
export const MAX_TOKENS = 64;
/** The candidate with this text gets NaN from its experts. */
export const POISON = 'give NaN';

const TASKS = new Map([
  ['chat', ['logic', 'tone']],
  ['qa', ['truth']],
]);

/** A model for tests that are not about numerics: one token per character, the fake engine, no files. */
export interface SpecModel extends Model {
  /** Items of each engine call so far, as `task:items task:items`. */
  readonly calls: readonly string[];
  /** Lets engine calls wait until it resolves. */
  gate: Promise<void>;
  /** Called when an engine call is told to stop. */
  onAbort: () => void;
  /** Whether it has been disposed of. */
  readonly disposed: boolean;
}

/** Creates one. */
export function createSpecModel(revision: string): SpecModel {
  return new CharacterModel(revision);
}

class CharacterModel implements SpecModel {
  readonly engine: Engine = createFakeEngine({ hiddenSize: HIDDEN_SIZE, maxPositions: MAX_TOKENS });
  readonly maxTokens = MAX_TOKENS;
  readonly taskNames = [...TASKS.keys()];
  readonly calls: string[] = [];
  gate: Promise<void> = Promise.resolve();
  onAbort = (): void => undefined;
  disposed = false;

  constructor(readonly revision: string) {}

  capabilities(task: string): readonly string[] {
    const names = TASKS.get(task);
    if (names === undefined)
      throw new DmoermError({
        code: 'NOT_FOUND',
        reason: 'UNKNOWN_TASK',
        field: 'task',
        message: 'no such task',
      });
    return names;
  }

  digests(task: string) {
    return {
      base: 'base',
      adapters: this.capabilities(task).map(() => ''),
      heads: 'heads',
      template: 'template',
    };
  }

  prepare(task: string, item: Parameters<Model['prepare']>[1]): PreparedItem {
    this.capabilities(task);
    const tokens = prepareItem(item, {
      promptTokens: (messages) => characters(messages.map(({ content }) => content).join('\n')),
      candidateTokens: characters,
      renderedTokens: characters,
      maxTokens: MAX_TOKENS,
      cost: (prompt, candidates) => prompt + candidates.reduce((a, b) => a + b, 0),
    });
    return { task, ...tokens };
  }

  async evaluate(items: readonly PreparedItem[], signal?: AbortSignal) {
    const tasks = groupBy(items, ({ task }) => task);
    this.calls.push(
      [...tasks]
        .map(([task, own]) => `${task}:${own.length}`)
        .sort()
        .join(' '),
    );
    signal?.addEventListener('abort', this.onAbort);
    await this.gate;
    if (signal?.aborted)
      throw new DmoermError({ code: 'CANCELLED', reason: 'CANCELLED', message: 'cancelled' });
    const outputs: CandidateOutput[][] = [];
    for (const item of items) outputs.push(await this.outputs(item));
    return { items: outputs, engineNs: 1000 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true;
  }

  private async outputs(item: PreparedItem): Promise<CandidateOutput[]> {
    const head = { weight: new Float32Array(HIDDEN_SIZE).fill(1), bias: 0 };
    const experts = this.capabilities(item.task).map(() => ({ adapter: null, invocationTokens: [], head }));
    const task = await this.engine.addTask({ plan: { type: 'full' }, taskAdapter: null, experts });
    const own: CandidateOutput[] = [];
    for (const candidate of item.candidates) {
      if (candidate.type === 'error') {
        own.push(candidate);
        continue;
      }
      const {
        outputs: [outputs],
      } = await this.engine.evaluate([{ task, prompts: item.prompts, candidates: [candidate] }]);
      const tokenCount = (item.prompts[candidate.prompt]?.length ?? 0) + candidate.tokens.length;
      own.push(
        String.fromCharCode(...candidate.tokens) === POISON
          ? {
              type: 'error',
              error: new DmoermError({ code: 'INTERNAL', reason: 'NON_FINITE', message: 'NaN' }),
            }
          : { type: 'outputs', ...outputs, tokenCount, truncated: candidate.truncated },
      );
    }
    return own;
  }
}

function characters(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}
