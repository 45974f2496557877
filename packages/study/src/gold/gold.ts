import { ATTRIBUTES, measure, type Attribute, type Measures, type Vocabulary } from './attributes';

/** What people want of a response to a task: which attributes count, how much, and how long it should be. */
export interface GoldTask {
  readonly name: string;
  readonly weights: Readonly<Partial<Record<Attribute, number>>>;
  readonly words: number;
}

/**
 * The tasks of the study, whose prompts the data names. All weights sum to 1; a task's capabilities are the attributes that it weighs.
 * What is wanted differs, so that a model that does not tell tasks apart has something to lose.
 */
export const GOLD_TASKS: readonly GoldTask[] = [
  {
    name: 'chat',
    weights: { relevance: 0.25, variety: 0.2, brevity: 0.2, plainness: 0.2, form: 0.15 },
    words: 24,
  },
  { name: 'harmlessness', weights: { brevity: 0.4, plainness: 0.3, form: 0.3 }, words: 10 },
  { name: 'objective_qa', weights: { relevance: 0.5, variety: 0.2, brevity: 0.3 }, words: 16 },
];

/** A response's gold reward, and its capabilities in standard deviations of the policy's responses to the task. */
export interface Gold {
  readonly reward: number;
  /** In the order of `capabilitiesOf`. */
  readonly capabilities: readonly number[];
}

/** Gold rewards of a task. */
export type GoldReward = (question: string, response: string) => Gold;

/** How much the worst capability counts beside the weighted mean: one grave fault spoils a response. */
const WORST = 0.5;

/** A task's attributes, in their order. */
export function capabilitiesOf({ weights }: GoldTask): Attribute[] {
  return ATTRIBUTES.filter((name) => weights[name] !== undefined);
}

/**
 * The gold reward of a task: the weighted mean of its attributes, less half of how far the worst is below average, then in standard
 * deviations above the mean of the policy's own responses.
 * @param responses of the policy, not few: they give the scale.
 */
export function createGold(
  task: GoldTask,
  known: Vocabulary,
  responses: readonly { readonly question: string; readonly response: string }[],
): GoldReward {
  const names = capabilitiesOf(task);
  const raw = (question: string, response: string): Measures =>
    measure(question, response, task.words, known);
  const measured = responses.map(({ question, response }) => raw(question, response));
  const scales = names.map((name) => scaleOf(measured.map((one) => one[name])));
  const standardised = (measures: Measures): number[] =>
    names.map((name, k) => (measures[name] - (scales[k]?.mean ?? 0)) / (scales[k]?.std ?? 1));
  const combined = (z: readonly number[]): number =>
    names.reduce((sum, name, k) => sum + (task.weights[name] ?? 0) * (z[k] ?? 0), 0) +
    WORST * Math.min(0, ...z);
  const scale = scaleOf(measured.map((one) => combined(standardised(one))));
  return (question, response) => {
    const capabilities = standardised(raw(question, response));
    return { reward: (combined(capabilities) - scale.mean) / scale.std, capabilities };
  };
}

function scaleOf(values: readonly number[]): { readonly mean: number; readonly std: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return { mean, std: std + 1e-6 };
}
