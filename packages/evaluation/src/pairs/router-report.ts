import type { Decision } from '@dmoerm/reward';
import {
  expectedCalibrationError,
  reliability,
  type Prediction,
  type ReliabilityBin,
} from '../calibration/reliability';

/** How well the router finds the task that the data names. Each prompt counts once. */
export interface RouterReport {
  readonly arm: string;
  /** `pairs`: prompts of the evaluated pairs; `routes`: of the routes file. */
  readonly prompts_of: string;
  readonly prompts: number;
  /** Prompts whose task the bundle has; the others cannot be routed right, and count in the confusion only. */
  readonly known: number;
  /** Of the known. */
  readonly accuracy: number | null;
  /** Mean over tasks of F1, of the known. */
  readonly macro_f1: number | null;
  /** Of the most probable task's probability, known prompts, 15 equal-mass bins. */
  readonly ece: number | null;
  readonly bins: readonly ReliabilityBin[];
  /** Prompts that fell back. */
  readonly fallbacks: number;
  /** By the data's task, by the task that the router took. */
  readonly confusion: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** A prompt's decision and what the data says. */
export interface RoutedLabel {
  readonly label: string;
  readonly decision: Decision;
}

/** The report over prompts of one kind. */
export function routerReport(
  arm: string,
  promptsOf: string,
  prompts: readonly RoutedLabel[],
  taskNames: readonly string[],
): RouterReport {
  const taken = ({ decision }: RoutedLabel): string => decision.assignments[0]?.task ?? '';
  const known = prompts.filter(({ label }) => taskNames.includes(label));
  // Confidence is about the most probable task, also where the fallback was taken instead.
  const bins = reliability(
    known.map(({ label, decision }): Prediction => ({
      confidence: decision.distribution[0]?.probability ?? NaN,
      outcome: decision.distribution[0]?.task === label ? 1 : 0,
    })),
  );
  const confusion: Record<string, Record<string, number>> = {};
  for (const one of prompts) {
    const row = (confusion[one.label] ??= {});
    row[taken(one)] = (row[taken(one)] ?? 0) + 1;
  }
  const some = known.length > 0;
  return {
    arm,
    prompts_of: promptsOf,
    prompts: prompts.length,
    known: known.length,
    accuracy: some ? known.filter((one) => taken(one) === one.label).length / known.length : null,
    macro_f1: some ? macroF1(known.map((one) => ({ label: one.label, guess: taken(one) }))) : null,
    ece: some ? expectedCalibrationError(bins) : null,
    bins,
    fallbacks: prompts.filter(({ decision }) => decision.fallback).length,
    confusion,
  };
}

/** F1 of guesses, mean over the labels that occur. NaN without guesses. */
export function macroF1(guesses: readonly { readonly label: string; readonly guess: string }[]): number {
  const labels = [...new Set(guesses.map(({ label }) => label))];
  const scores = labels.map((one) => {
    const hits = guesses.filter(({ label, guess }) => label === one && guess === one).length;
    const named = guesses.filter(({ label, guess }) => label === one || guess === one).length;
    // Twice the hits over labelled plus guessed; a hit is in both.
    return (2 * hits) / (named + hits);
  });
  return scores.reduce((a, b) => a + b, 0) / scores.length;
}
