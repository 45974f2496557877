import { groupBy } from '@dmoerm/core';
import type { Pair } from '@dmoerm/dataset';
import type { BundleScorer, ScoreRequest } from '../scoring/scorer';
import { countFailures, covers, longerWins, type Arm } from './arm';
import { accuracyOf, toPlainFigure, type Figure, type FigureOptions } from './figures';
import { judge, noJudgement, TASK_NOT_IN_BUNDLE, toRequests, type Judgement } from './judge';

/** How well one capability's score agrees with people who rated that capability. The task is the data's. */
export interface CapabilityFigure extends Figure {
  readonly arm: string;
  readonly task: string;
  /** `overall` stands for the reward. */
  readonly capability: string;
  readonly longer_wins: number | null;
  /** Pairs without scores by reason. */
  readonly failures: Readonly<Record<string, number>>;
}

/** In the data, a source's overall score: the reward answers it, no expert. */
const OVERALL = 'overall';
const NO_EXPERT = 'NO_EXPERT';

/** Scores what capability pairs need: their own task. */
export function capabilityRequests({ bundle }: BundleScorer, pairs: readonly Pair[]): ScoreRequest[] {
  return toRequests(pairs, ({ task }) => (bundle.taskNames.includes(task) ? [task] : []));
}

/** Judges capability pairs by that capability's expert. */
export function judgeCapabilities(scorer: BundleScorer, pairs: readonly Pair[]): Judgement[] {
  const { bundle } = scorer;
  return pairs.map((pair): Judgement => {
    const { task, capability } = pair;
    if (!bundle.taskNames.includes(task)) return noJudgement(null, TASK_NOT_IN_BUNDLE);
    if (capability === OVERALL) return judge(scorer, pair, task, ({ reward }) => reward);
    const k = bundle.task(task).capabilities.findIndex(({ name }) => name === capability);
    if (k < 0) return noJudgement(task, NO_EXPERT);
    return judge(scorer, pair, task, ({ scores }) => scores[k] ?? NaN);
  });
}

/** A figure per task and capability that the arm has an expert for. */
export function capabilityFigures(arm: Arm, options: FigureOptions): CapabilityFigure[] {
  const { pairs } = options;
  const trivial = longerWins(pairs);
  const groups = groupBy([...pairs.keys()], (i) => JSON.stringify([pairs[i]?.task, pairs[i]?.capability]));
  return [...groups.values()].flatMap((own) => {
    const members = new Set(own);
    const take = (i: number): boolean => members.has(i);
    const figure = accuracyOf(arm, { ...options, take });
    if (figure.pairs === 0) return [];
    const judged = (i: number): boolean => take(i) && covers(arm, i);
    const { task = '', capability } = pairs[own[0] ?? 0] ?? {};
    return [
      {
        arm: arm.name,
        task,
        capability: capability ?? '',
        ...toPlainFigure(figure),
        longer_wins: accuracyOf(trivial, { ...options, take: judged }).value,
        failures: countFailures(arm, own),
      },
    ];
  });
}
