import { hashFraction, mayShip, type Dataset, type Pair, type Rating } from '@dmoerm/dataset';
import type { PromptGroup } from './embeddings';
import type { ProbeTask } from './taxonomy';

/** What one task of the probe learns from and is measured on. */
export interface TaskExamples {
  readonly task: ProbeTask;
  /** By capability: pairs that compare responses in it. */
  readonly capabilityPairs: ReadonlyMap<string, readonly Pair[]>;
  /** By capability: single responses with a rating, where the data has no pairs. */
  readonly capabilityRatings: ReadonlyMap<
    string,
    readonly { readonly row: Rating; readonly rating: number }[]
  >;
  /** Overall preferences: phase 3, and the measure of the reward. */
  readonly overall: readonly Pair[];
}

/** Which rows to take. */
export interface ExampleOptions {
  /** Take rows that weights to be shipped must not be trained on. */
  readonly research: boolean;
  /**
   * Most prompts per source in training and test; a third of it in validation and in test sets that may not be trained on.
   */
  readonly limit: number;
}

/** Share of a task's training prompts whose overall labels train experts (A); the others train the aggregator (C). */
const PHASE_A = 0.6;

/** Experts that learn from overall preferences: no permitted source rates these tasks by it. */
const OVERALL_EXPERTS: Readonly<Record<string, string>> = {
  chat: 'helpfulness',
  harmlessness: 'harmlessness',
};

/** Examples of every task; training rows are shippable unless `research`. */
export function collectExamples(
  data: Dataset,
  tasks: readonly ProbeTask[],
  options: ExampleOptions,
): TaskExamples[] {
  const usable = <T extends Pair | Rating>(rows: readonly T[]): T[] =>
    rows.filter((row) => options.research || row.split === 'test' || mayShip(row));
  const preferences = limitPrompts(usable(data.preferences), options.limit).filter(({ tie }) => !tie);
  const capabilityPairs = limitPrompts(usable(data.capabilityPairs), options.limit);
  const ratings = limitPrompts(usable(data.ratings), options.limit);
  return tasks.map((task) => {
    const own = preferences.filter((row) => row.task === task.name);
    const pairs = new Map<string, Pair[]>();
    const single = new Map<string, { row: Rating; rating: number }[]>();
    for (const { name } of task.capabilities) {
      const compared = capabilityPairs.filter((row) => row.task === task.name && row.capability === name);
      if (OVERALL_EXPERTS[task.name] === name)
        pairs.set(
          name,
          own.filter((row) => row.split !== 'train' || isPhaseA(row)),
        );
      else if (compared.some((row) => row.split === 'train')) pairs.set(name, compared);
      else
        single.set(
          name,
          ratings.flatMap((row) =>
            row.task === task.name && name in row.ratings ? [{ row, rating: row.ratings[name] ?? 0 }] : [],
          ),
        );
    }
    const rated = capabilityPairs.filter((row) => row.task === task.name && row.capability === 'overall');
    // Ratings of the sources stand in where no preferences may be trained on.
    const compared = own.some((row) => row.split === 'train') ? own : [...own, ...rated];
    const overall = compared.filter(
      (row) => row.split !== 'train' || !(task.name in OVERALL_EXPERTS) || !isPhaseA(row),
    );
    return { task, capabilityPairs: pairs, capabilityRatings: single, overall };
  });
}

function isPhaseA({ prompt_id: id }: Pair): boolean {
  return hashFraction(id, 'phase') < PHASE_A;
}

/** Keeps the prompts with the smallest hashes of each source and split: the same ones whatever the order of the rows. */
function limitPrompts<T extends Pair | Rating>(rows: readonly T[], limit: number): T[] {
  const prompts = new Map<string, Set<string>>();
  for (const row of rows)
    prompts.set(limitKey(row), (prompts.get(limitKey(row)) ?? new Set()).add(row.prompt_id));
  const kept = new Map<string, Set<string>>();
  for (const [key, ids] of prompts) {
    const sorted = [...ids].sort((a, b) => hashFraction(a, 'limit') - hashFraction(b, 'limit'));
    const most = key.endsWith('/full') ? limit : Math.ceil(limit / 3);
    kept.set(key, new Set(sorted.slice(0, most)));
  }
  return rows.filter((row) => kept.get(limitKey(row))?.has(row.prompt_id));
}

function limitKey(row: Pair | Rating): string {
  const share = row.split === 'train' || (row.split === 'test' && mayShip(row)) ? 'full' : 'third';
  return `${row.source}/${row.split}/${share}`;
}

/** The prompts of a task's examples with all their responses, in the order of their hashes: a cut-off run has seen a fair share. */
export function promptGroups({ capabilityPairs, capabilityRatings, overall }: TaskExamples): PromptGroup[] {
  const groups = new Map<string, { messages: Pair['messages']; responses: Set<string>; at: number }>();
  const add = (messages: Pair['messages'], ...responses: string[]): void => {
    const key = JSON.stringify(messages);
    const group = groups.get(key) ?? {
      messages,
      responses: new Set<string>(),
      at: hashFraction(key, 'order'),
    };
    for (const response of responses) group.responses.add(response);
    groups.set(key, group);
  };
  for (const rows of [...capabilityPairs.values(), overall])
    for (const { messages, chosen, rejected } of rows) add(messages, chosen, rejected);
  for (const rows of capabilityRatings.values()) for (const { row } of rows) add(row.messages, row.response);
  return [...groups.values()]
    .sort((a, b) => a.at - b.at)
    .map(({ messages, responses }) => ({ messages, responses: [...responses] }));
}
