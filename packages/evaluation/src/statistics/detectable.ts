import { probit } from 'simple-statistics';
import type { Panel } from './panel';

/** Of a two-sided test. */
const LEVEL = 0.05;
const POWER = 0.8;
/** Standard deviation of a prompt's difference that planning assumes: two arms that disagree on a quarter of single pairs. */
export const PLANNED_DEVIATION = 0.5;

/** The difference that a two-sided 5 % test finds in 80 % of cases, from the standard error of a difference: about 2.8 of it. */
export function detectableDifference(standardError: number): number {
  return (probit(1 - LEVEL / 2) + probit(POWER)) * standardError;
}

/**
 * The same before anything is scored: from the prompts per category alone, with an assumed standard deviation of a prompt's
 * difference. Var(mean over C categories) = sum_c deviation^2 / n_c / C^2.
 */
export function plannedDifference(panel: Panel, deviation = PLANNED_DEVIATION): number {
  const variance = panel.members.reduce((sum, own) => sum + deviation ** 2 / own.length, 0);
  return detectableDifference(Math.sqrt(variance) / panel.members.length);
}
