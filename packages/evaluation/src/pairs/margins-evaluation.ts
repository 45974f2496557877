import type { Pair } from '@dmoerm/dataset';
import { shareCell, textTable } from '../report/text-table';
import { bootstrap, DRAWS } from '../statistics/bootstrap';
import type { Estimate } from '../statistics/interval';
import { createPanel } from '../statistics/panel';
import { longerWins, type Arm } from './arm';
import { accuracyOf, toPlainFigure, type Figure } from './figures';
import { isLengthMatched } from './length';

/** Figures of one group of pairs beside the trivial baseline. */
export interface MarginsEvaluation {
  readonly group: string;
  readonly model: Figure;
  readonly longer_wins: Figure;
  /** Pairs of nearly the same length: what is left when length tells nothing. */
  readonly length_matched: Figure;
}

const OPTIONS = { draws: DRAWS, seed: 1 };

/** Evaluates margins (preferred minus other reward) that training has at hand, a group as one category. */
export function evaluateMargins(
  group: string,
  pairs: readonly Pair[],
  margins: readonly number[],
): MarginsEvaluation {
  const own = margins.map((margin) => ({
    margin,
    chosen: margin,
    rejected: 0,
    task: null,
    failure: null,
    truncated: false,
    degraded: false,
  }));
  const arm: Arm = { name: group, group, seeds: [own] };
  const options = { pairs, categoryOf: () => group, bootstrap: OPTIONS };
  const matched = (i: number): boolean => pairs[i] !== undefined && isLengthMatched(pairs[i]);
  return {
    group,
    model: toPlainFigure(accuracyOf(arm, options)),
    longer_wins: toPlainFigure(accuracyOf(longerWins(pairs), options)),
    length_matched: toPlainFigure(accuracyOf(arm, { ...options, take: matched })),
  };
}

/** Evaluations as a table for people. */
export function formatMarginsEvaluations(evaluations: readonly MarginsEvaluation[]): string {
  return textTable([
    ['group', 'pairs', 'prompts', 'model', 'longer wins', 'model, same length'],
    ...evaluations.map(({ group, model, longer_wins: longer, length_matched: matched }) => [
      group,
      `${model.pairs}`,
      `${model.prompts}`,
      shareCell(model),
      shareCell(longer),
      `${shareCell(matched)} (${matched.pairs})`,
    ]),
  ]).join('\n');
}

/** Mean of independent values with its bootstrap interval. */
export function bootstrapMean(values: readonly number[]): Estimate {
  const plus = { group: '', seeds: [Float64Array.from(values)] };
  const [estimate] = bootstrap(createPanel(values.map(() => '')), [{ plus, minus: null }], OPTIONS);
  return estimate?.overall ?? { value: NaN, low: NaN, high: NaN, standardError: NaN };
}
