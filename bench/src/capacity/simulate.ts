import { createRandom, normal } from '@dmoerm/core';
import { drawArrivals, percentiles } from '@dmoerm/load';
import type { Percentiles } from '@dmoerm/load';
import { costOf } from './costs';
import type { Costs } from './costs';
import { Events } from './events';
import { Choice, Engine, Loop } from './stations';

/** A mesh, and what is asked of it. */
export interface Plan {
  readonly candidatesPerS: number;
  /** Candidates of a call: those of one prompt. */
  readonly candidatesPerCall: number;
  readonly experts: number;
  readonly routers: number;
  readonly aggregators: number;
  /** Meshes that know nothing of each other and share the load; routers of one see its experts only. */
  readonly cells: number;
  /** Tokens a second of one expert's engine. */
  readonly tokensPerS: number;
}

/** What does not change from plan to plan. */
export interface Setting {
  readonly costs: Costs;
  /** One way between two services, seconds. */
  readonly networkSeconds: number;
  readonly maxBatchTokens: number;
  readonly maxQueueTokens: number;
  /** Simulated time in which calls come; the first fifth fills the mesh and is not counted. */
  readonly seconds: number;
  /** Equal seeds give equal results. */
  readonly seed: number;
}

/** What came of it. */
export interface Result {
  /** Calls that count. */
  readonly calls: number;
  /** Of them refused: too much waited. */
  readonly refused: number;
  readonly latencyMs: Percentiles;
  /** Shares of the time in which they worked, 0 to 1. */
  readonly busy: { readonly router: number; readonly engine: number; readonly aggregator: number };
  readonly tokensPerBatch: number;
}

/** Lengths of responses around their mean: standard deviation of the logarithm. */
const SPREAD = 0.6;
const WARM_UP = 0.2;

/**
 * Lets calls through a mesh, event by event: router (event loop, half of its work before and half after), the expert that the router believes to owe
 * least, its event loop, its engine in batches, the aggregator, back. Costs are measured, times between calls exponential, lengths
 * log-normal; nothing fails, and no garbage is collected.
 */
export function simulate(plan: Plan, setting: Setting): Result {
  const { costs, networkSeconds, seconds, seed } = setting;
  const { candidatesPerCall: n, cells } = plan;
  const events = new Events();
  const many = <T>(count: number, make: (i: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => make(i));
  const loops = (count: number): Loop[] => many(count, () => new Loop(events));
  const [routers, experts, aggregators] = [loops(plan.routers), loops(plan.experts), loops(plan.aggregators)];
  const limits = {
    secondsPerToken: 1 / plan.tokensPerS,
    maxBatchTokens: setting.maxBatchTokens,
    maxQueueTokens: setting.maxQueueTokens,
  };
  const engines = many(plan.experts, () => new Engine(events, limits));
  const inCell = (count: number, cell: number): number[] =>
    many(count, (i) => i).filter((i) => i % cells === cell);
  const random = createRandom(seed);
  const choices = (count: number): Choice[] => {
    const replicas = many(cells, (cell) => inCell(count, cell));
    return many(plan.routers, (r) => new Choice(replicas[r % cells] ?? [], Math.floor(random() * count)));
  };
  const [toExpert, toAggregator] = [choices(plan.experts), choices(plan.aggregators)];
  const routerCost = costOf(costs.router, 1, n) / 2;
  const aggregatorCost = costOf(costs.aggregator, 1, n);
  const latencies: number[] = [];
  let [calls, refused] = [0, 0];

  const call = (router: number, tokens: number, counts: boolean): void => {
    const began = events.now;
    const after = (next: () => void): void => events.at(events.now + networkSeconds, next);
    const finish = (): void => {
      if (counts) latencies.push((events.now - began) * 1e3);
    };
    const aggregate = (): void => {
      const { replica, give } = take(toAggregator, router, n);
      after(() =>
        aggregators[replica]?.do(aggregatorCost, () =>
          after(() => {
            give();
            routers[router]?.do(routerCost, () => after(finish));
          }),
        ),
      );
    };
    const evaluate = (): void => {
      const { replica, give } = take(toExpert, router, n);
      const back = (): void =>
        after(() => {
          give();
          aggregate();
        });
      after(() =>
        experts[replica]?.do(costs.expert.perCall, () => {
          if (engines[replica]?.push({ tokens, done: back }) !== false) return;
          give();
          if (counts) refused++;
        }),
      );
    };
    if (counts) calls++;
    after(() => routers[router]?.do(routerCost, evaluate));
  };

  const length = (): number =>
    Math.max(1, Math.round(costs.tokens.perUnit * Math.exp(SPREAD * normal(random) - SPREAD ** 2 / 2)));
  const tokensOf = (): number =>
    many(n, length).reduce((sum, one) => sum + one, Math.round(costs.tokens.perCall));
  const schedule = { seed, burstsPerS: plan.candidatesPerS / n, seconds };
  let next = 0;
  for (const { atMs } of drawArrivals(schedule, () => [null])) {
    // Clients go round the routers.
    const router = next++ % plan.routers;
    const at = atMs / 1e3;
    const tokens = tokensOf();
    events.at(at, () => call(router, tokens, at >= seconds * WARM_UP));
  }
  events.run();
  const share = (stations: readonly { busy: number }[]): number =>
    stations.reduce((sum, { busy }) => sum + busy, 0) / (stations.length * seconds);
  return {
    calls,
    refused,
    latencyMs: percentiles(latencies),
    busy: { router: share(routers), engine: share(engines), aggregator: share(aggregators) },
    tokensPerBatch:
      engines.reduce((sum, { busy }) => sum + busy * plan.tokensPerS, 0) /
      engines.reduce((sum, { batches }) => sum + batches, 0),
  };
}

function take(choices: readonly Choice[], router: number, work: number): ReturnType<Choice['take']> {
  const choice = choices[router];
  if (choice === undefined) throw new Error(`there is no router ${router}`);
  return choice.take(work);
}
