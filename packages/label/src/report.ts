import { groupBy } from '@dmoerm/core';
import { measureAgreement, type Agreement } from './agreement';
import type { Judged } from './judged';
import { measurePosition, type PositionBias } from './position';

/** Smallest share of comparisons that must be kept. */
const LEAST_KEPT = 0.4;
/** From fewer prompts a bootstrap draws the same few again and again: its interval promises too much. */
const LEAST_PROMPTS = 10;

/** Whether a capability's labels may train an expert. `unknown`: human labels of too few prompts, or of none. */
export type Gate = 'passed' | 'failed' | 'unknown';

/** The figures of one group of comparisons. */
export interface GroupReport {
  /** null: of all tasks. */
  readonly task: string | null;
  readonly capability: string | null;
  readonly comparisons: number;
  readonly kept: number;
  readonly ties: number;
  readonly inconsistent: number;
  readonly refused: number;
  readonly truncated: number;
  readonly unparsable: number;
  /** Not answered in both orders yet. */
  readonly open: number;
  /** Kept labels of answered comparisons; null of none. */
  readonly keepRate: number | null;
  readonly agreement: Agreement | null;
  readonly position: PositionBias;
  /** Passed: keep-rate of 40 % or more, and the lower bound of kappa on kept comparisons of 10 prompts or more above 0. */
  readonly gate: Gate;
}

/** One group per task and capability, tasks together, in the order of the input; and one of all. */
export function createReports(judged: readonly Judged[]): { groups: GroupReport[]; all: GroupReport } {
  const tasks = groupBy(judged, ({ comparison }) => comparison.task);
  return {
    groups: [...tasks].flatMap(([task, own]) =>
      [...groupBy(own, ({ comparison }) => comparison.capability.name)].map(([capability, group]) =>
        reportGroup(task, capability, group),
      ),
    ),
    all: reportGroup(null, null, judged),
  };
}

function reportGroup(task: string | null, capability: string | null, judged: readonly Judged[]): GroupReport {
  const dropped = (reason: string): number =>
    judged.filter(({ label }) => label.type === 'dropped' && label.reason === reason).length;
  const of = (type: string): number => judged.filter(({ label }) => label.type === type).length;
  const [kept, open] = [of('kept'), of('open')];
  const answered = judged.length - open;
  const keepRate = answered === 0 ? null : kept / answered;
  const agreement = measureAgreement(judged);
  return {
    task,
    capability,
    comparisons: judged.length,
    kept,
    ties: of('tie'),
    inconsistent: dropped('inconsistent'),
    refused: dropped('refused'),
    truncated: dropped('truncated'),
    unparsable: dropped('unparsable'),
    open,
    keepRate,
    agreement,
    position: measurePosition(judged),
    gate: gateOf(keepRate, agreement),
  };
}

function gateOf(keepRate: number | null, agreement: Agreement | null): Gate {
  // Too few labels is a failure even where nobody can say whether they are right.
  if (keepRate !== null && keepRate < LEAST_KEPT) return 'failed';
  if (keepRate === null || agreement === null || agreement.kept.prompts < LEAST_PROMPTS) return 'unknown';
  return (agreement.kept.low ?? -1) > 0 ? 'passed' : 'failed';
}
