import { costOf } from './costs';
import type { Costs } from './costs';
import type { Plan } from './simulate';

/** A plan with a name. */
export interface Scenario {
  readonly name: string;
  readonly plan: Plan;
  /** What it shows, for the plot; null: only in the table. */
  readonly series: string | null;
}

/** What is planned for. */
export interface Target {
  readonly candidatesPerS: number;
  readonly experts: number;
  readonly candidatesPerCall: number;
  /** Cores of an expert. */
  readonly cores: number;
}

/** Shares of the time in which engines and event loops may work: what is left takes bursts, and the replicas that a rollout takes. */
const ENGINE_BUSY = 0.7;
const LOOP_BUSY = 0.5;
const SIZES = [0.01, 0.1, 1];
const LOADS = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95];
const CELLS = 10;
/** A zone of three. */
const LOST = 1 / 3;

/**
 * What an operator asks before a cluster is ordered: whether a mesh of 1,000 experts is as quick as one of 10, how far it may be loaded, how many experts of the measured
 * processor the target takes, what an engine must do for the target with the experts that are wanted, and what is left of that when a zone is
 * lost or when it is cut into cells.
 */
export function scenarios(costs: Costs, target: Target): Scenario[] {
  const { candidatesPerS, candidatesPerCall: n, experts, cores } = target;
  const tokens = costOf(costs.tokens, 1, n) / n;
  const measured = cores / costs.expert.perUnit;
  /** Candidates a second of one expert that always works. */
  const most = (tokensPerS: number): number => tokensPerS / tokens;
  const sized = (load: number, count: number, tokensPerS: number): Plan => ({
    candidatesPerS: load,
    candidatesPerCall: n,
    experts: count,
    routers: loops(costOf(costs.router, load / n, load)),
    aggregators: loops(costOf(costs.aggregator, load / n, load)),
    cells: 1,
    tokensPerS,
  });
  const atLoad = (count: number, busy: number): Plan => sized(count * most(measured) * busy, count, measured);
  const sizes = SIZES.map((size) => Math.max(1, Math.round(experts * size)));
  const needed = Math.ceil(candidatesPerS / (most(measured) * ENGINE_BUSY));
  const wanted = sized(candidatesPerS, experts, (candidatesPerS / experts / ENGINE_BUSY) * tokens);
  const less = (count: number): number => Math.round(count * (1 - LOST));
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  const count = (value: number): string => Math.round(value).toLocaleString('en');
  return [
    ...sizes.flatMap((size) =>
      LOADS.filter((busy) => busy === ENGINE_BUSY || size !== sizes[1]).map((busy) => ({
        name: `${count(size)} experts as measured, ${percent(busy)} busy`,
        plan: atLoad(size, busy),
        series: `${count(size)} experts`,
      })),
    ),
    {
      name: `${count(candidatesPerS)} candidates/s on experts of ${cores} cores as measured`,
      plan: sized(candidatesPerS, needed, measured),
      series: null,
    },
    {
      name: `${count(candidatesPerS)} candidates/s on ${count(experts)} experts: what each engine must do`,
      plan: wanted,
      series: null,
    },
    { name: `the same in ${CELLS} cells`, plan: { ...wanted, cells: CELLS }, series: null },
    {
      name: 'the same without one zone of three',
      plan: {
        ...wanted,
        experts: less(wanted.experts),
        routers: less(wanted.routers),
        aggregators: less(wanted.aggregators),
      },
      series: null,
    },
  ];
}

/** Event loops for so many seconds of work a second. */
function loops(secondsPerS: number): number {
  return Math.max(2, Math.ceil(secondsPerS / LOOP_BUSY));
}
