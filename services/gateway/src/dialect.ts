import type { ModelInfo, Score, ScoreItem, ScoreOptions } from '@dmoerm/client';

/** The score of an item with one candidate. */
export interface Rewarded {
  readonly score: Score;
  /** The task that scored it. */
  readonly task: string;
  readonly revision: string;
}

/** What a trainer sends and reads. Its body has been checked against the document. */
export interface Dialect<Body> {
  /** Of the document. */
  readonly operationId: string;
  /** One item per reward, each with one candidate. @throws DmoermError for what the schema cannot say. */
  items(body: Body, options: ScoreOptions): ScoreItem[];
  /** Where item `i` stands in the body, for errors. */
  field(body: Body, i: number): string;
  /** The answer as JSON; never asked where an item has no reward. @throws DmoermError for a number that is not finite. */
  answer(rewards: readonly Rewarded[], model: ModelInfo | null, body: Body): string;
}

/** A dialect whose body's type is its own affair. */
export type AnyDialect = Dialect<never>;
