import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createEngine, createTrainer, type LearningBatch, type Trainer } from '@dmoerm/engine';
import { writeBase } from '@dmoerm/recipe';
import type { OpenedTokenizer } from '@dmoerm/tokenizer';
import { openBase, type BaseModel } from '@dmoerm/weights';
import type { StudyPrompt } from '../bon/prompts';
import { logRatio, tokenWeights, type GrpoTokens } from './grpo';

/** Responses to a prompt, as the policy drew them. */
export interface Draw {
  readonly prompt: StudyPrompt;
  readonly tokens: readonly Int32Array[];
  readonly texts: readonly string[];
}

/** How a policy draws and learns. */
export interface PolicyOptions {
  readonly basePath: string;
  readonly opened: OpenedTokenizer;
  readonly newTokens: number;
  readonly threads: number;
  /** Where its weights are put for drawing. */
  readonly work: string;
}

/** A policy that learns all its parameters by GRPO, and the one that it began as. */
export class Policy implements AsyncDisposable {
  private steps = 0;

  private constructor(
    private readonly options: PolicyOptions,
    private readonly trainer: Trainer,
    private readonly reference: Trainer,
    private current: BaseModel,
    private readonly folder: string,
  ) {}

  static async open(options: PolicyOptions): Promise<Policy> {
    const base = await openBase(options.basePath);
    const learner = { plan: { type: 'full' }, experts: [{ adapter: [] }], threads: options.threads } as const;
    const trainer = await createTrainer(base, { ...learner, trainBase: true });
    const reference = await createTrainer(base, learner);
    return new Policy(options, trainer, reference, base, await mkdtemp(join(options.work, 'policy-')));
  }

  /** Draws so many responses to each prompt. Deterministic in weights and seed. */
  async draw(prompts: readonly StudyPrompt[], samples: number, seed: number): Promise<Draw[]> {
    const { opened, newTokens, threads } = this.options;
    await using engine = await createEngine(this.current, { threads });
    const drawn = await engine.generate({
      prompts: prompts.map(({ tokens }, i) => ({ tokens, seed: 1000 * seed + i })),
      samples,
      maxTokens: newTokens,
      stopTokens: [opened.template.endTokenId],
      maxSequences: 128,
    });
    return prompts.map((prompt, i) => {
      const tokens = (drawn[i] ?? []).map((one) => one.tokens);
      return { prompt, tokens, texts: tokens.map((own) => opened.tokenizer.decode([...own]).trim()) };
    });
  }

  /** Log-probabilities of the drawn tokens, by draw and response. */
  async compare(draws: readonly Draw[]): Promise<GrpoTokens[][]> {
    const batch = toBatch(draws, () => 1);
    const [[own], [other]] = [await this.trainer.score([batch]), await this.reference.score([batch])];
    let at = 0;
    return draws.map(({ tokens }) =>
      tokens.map(({ length }) => {
        const [begin, end] = [at, (at += length)];
        return {
          policy: own?.tokenLogProbs.subarray(begin, end) ?? [],
          reference: other?.tokenLogProbs.subarray(begin, end) ?? [],
        };
      }),
    );
  }

  /** KL divergence from the policy that it began as, nats a response, estimated on draws. */
  async divergence(draws: readonly Draw[]): Promise<number> {
    const ratios = (await this.compare(draws)).flat().map(logRatio);
    return ratios.reduce((a, b) => a + b, 0) / ratios.length;
  }

  /** One step of GRPO on draws of its own, with their advantages; then it draws with its new weights. */
  async learn(
    draws: readonly Draw[],
    advantage: readonly (readonly number[])[],
    { beta, learningRate }: { readonly beta: number; readonly learningRate: number },
  ): Promise<void> {
    const compared = await this.compare(draws);
    const count = draws.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const weights = compared.map((own, i) =>
      own.map((tokens, n) => tokenWeights(advantage[i]?.[n] ?? NaN, tokens, beta, 1 / count)),
    );
    await this.trainer.learn([toBatch(draws, (i, n, t) => weights[i]?.[n]?.[t] ?? NaN)], this.steps);
    this.steps += 1;
    await this.trainer.update('base', { learningRate, step: this.steps, weightDecay: 0 });
    await writeBase(this.folder, this.options.basePath, this.trainer);
    this.current = await openBase(this.folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.trainer[Symbol.asyncDispose]();
    await this.reference[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function toBatch(
  draws: readonly Draw[],
  weight: (draw: number, response: number, token: number) => number,
): LearningBatch {
  const candidates = draws.flatMap(({ tokens }, i) => tokens.map((own) => ({ prompt: i, tokens: own })));
  const weights = draws.flatMap(({ tokens }, i) =>
    tokens.flatMap((own, n) => Array.from(own, (_, t) => weight(i, n, t))),
  );
  return {
    expert: 0,
    prompts: draws.map(({ prompt }) => prompt.tokens),
    candidates,
    pairs: [],
    tokenWeights: Float32Array.from(weights),
  };
}
