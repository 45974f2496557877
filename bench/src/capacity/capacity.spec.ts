import fc from 'fast-check';
import type { Costs } from './costs';
import { Events } from './events';
import { scenarios } from './scenarios';
import { simulate } from './simulate';
import type { Plan, Setting } from './simulate';
import { Choice, Engine } from './stations';

const LINE = { perCall: 1e-3, perUnit: 1e-4 };
const COSTS: Costs = {
  router: LINE,
  expert: { perCall: 1e-3, perUnit: 1e-5 },
  aggregator: LINE,
  tokens: { perCall: 100, perUnit: 50 },
  bundle: 'made up',
};
const PLAN: Plan = {
  candidatesPerS: 400,
  candidatesPerCall: 8,
  experts: 4,
  routers: 3,
  aggregators: 2,
  cells: 1,
  tokensPerS: 1e4,
};
const SETTING: Setting = {
  costs: COSTS,
  networkSeconds: 1e-3,
  maxBatchTokens: 2_000,
  maxQueueTokens: 50_000,
  seconds: 20,
  seed: 1,
};

describe('events', () => {
  it('happen in the order of their times, and those of the same moment as they were planned', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (times) => {
        const events = new Events();
        const seen: [number, number][] = [];
        times.forEach((at, i) => events.at(at, () => seen.push([events.now, i])));
        events.run();
        const wanted = times
          .map((at, i): [number, number] => [at, i])
          .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        expect(seen).toEqual(wanted);
      }),
    );
  });

  it('may plan others', () => {
    const events = new Events();
    const seen: number[] = [];
    const tick = (): void => {
      seen.push(events.now);
      if (events.now < 3) events.at(events.now + 1, tick);
    };
    events.at(0, tick);
    events.run();
    expect(seen).toEqual([0, 1, 2, 3]);
  });
});

describe('an engine', () => {
  it('computes every job that it takes once, batches within the budget or of one job, and is busy for just their tokens', () => {
    const jobs = fc.array(fc.record({ at: fc.nat(50), tokens: fc.integer({ min: 1, max: 40 }) }));
    fc.assert(
      fc.property(jobs, fc.integer({ min: 1, max: 60 }), (all, maxBatchTokens) => {
        const events = new Events();
        const engine = new Engine(events, { secondsPerToken: 0.5, maxBatchTokens, maxQueueTokens: 100 });
        const batches = new Map<number, number[]>();
        const done: number[] = [];
        let taken = 0;
        all.forEach(({ at, tokens }, i) =>
          events.at(at, () => {
            const finish = (): void => {
              done.push(i);
              batches.set(events.now, [...(batches.get(events.now) ?? []), tokens]);
            };
            if (engine.push({ tokens, done: finish })) taken += tokens;
          }),
        );
        events.run();
        expect(new Set(done).size).toBe(done.length);
        expect(engine.busy).toBeCloseTo(taken * 0.5);
        expect(engine.batches).toBe(batches.size);
        for (const batch of batches.values())
          if (batch.length > 1) expect(batch.reduce((a, b) => a + b)).toBeLessThanOrEqual(maxBatchTokens);
      }),
    );
  });
});

describe('the choice of a router', () => {
  it('is a replica that owes least, and goes round among equals', () => {
    const steps = fc.array(
      fc.record({ work: fc.integer({ min: 1, max: 5 }), giveBack: fc.option(fc.nat(30)) }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), steps, (count, all) => {
        const choice = new Choice(
          Array.from({ length: count }, (_, i) => i),
          0,
        );
        const owed = new Array<number>(count).fill(0);
        const open: { replica: number; work: number; give: () => void }[] = [];
        for (const { work, giveBack } of all) {
          const least = Math.min(...owed);
          const { replica, give } = choice.take(work);
          expect(owed[replica]).toBe(least);
          owed[replica] = least + work;
          open.push({ replica, work, give });
          if (giveBack === null || open.length === 0) continue;
          const [back] = open.splice(giveBack % open.length, 1);
          back?.give();
          owed[back?.replica ?? 0] = (owed[back?.replica ?? 0] ?? 0) - (back?.work ?? 0);
        }
      }),
    );
    const round = new Choice([0, 1, 2], 0);
    const taken = Array.from({ length: 6 }, () => {
      const { replica, give } = round.take(1);
      give();
      return replica;
    });
    expect([...taken.slice(0, 3)].sort()).toEqual([0, 1, 2]);
    expect(taken.slice(3)).toEqual(taken.slice(0, 3));
  });
});

describe('a simulated mesh', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(simulate(PLAN, SETTING)).toEqual(simulate(PLAN, SETTING));
    expect(simulate(PLAN, { ...SETTING, seed: 2 })).not.toEqual(simulate(PLAN, SETTING));
  });

  it('is busy for what arithmetic says', () => {
    const { busy } = simulate(PLAN, SETTING);
    const callsPerS = PLAN.candidatesPerS / PLAN.candidatesPerCall;
    const tokensPerS = callsPerS * 100 + PLAN.candidatesPerS * 50;
    const near = (got: number, wanted: number): void => expect(Math.abs(got / wanted - 1)).toBeLessThan(0.1);
    near(busy.engine, tokensPerS / PLAN.tokensPerS / PLAN.experts);
    near(busy.router, (callsPerS * (1e-3 + 8e-4)) / PLAN.routers);
    near(busy.aggregator, (callsPerS * (1e-3 + 8e-4)) / PLAN.aggregators);
  });

  it('takes no less than its way: six stretches of network, the work of all parts, the tokens of one call', () => {
    const alone = simulate({ ...PLAN, candidatesPerS: 1 }, { ...SETTING, seconds: 400 });
    const work = 1.8e-3 + 1e-3 + 1.8e-3 + 500 / PLAN.tokensPerS;
    expect(alone.latencyMs.p50 / 1e3 / (work + 6e-3)).toBeGreaterThan(0.8);
    expect(alone.latencyMs.p50 / 1e3 / (work + 6e-3)).toBeLessThan(1.2);
  });

  it('refuses what would wait too long when it is asked for more than it can, and never otherwise', () => {
    expect(simulate(PLAN, SETTING).refused).toBe(0);
    const { refused, calls } = simulate(
      { ...PLAN, candidatesPerS: 2_000 },
      { ...SETTING, maxQueueTokens: 5_000 },
    );
    // It can do a third of this.
    expect(refused / calls).toBeGreaterThan(0.5);
    expect(refused / calls).toBeLessThan(0.75);
  });

  it('cells share nothing: as many meshes of a part of the size', () => {
    const whole = simulate({ ...PLAN, experts: 8, routers: 4, aggregators: 4, cells: 2 }, SETTING);
    const half = simulate(
      { ...PLAN, candidatesPerS: 200, experts: 4, routers: 2, aggregators: 2 },
      { ...SETTING, seconds: 40 },
    );
    expect(Math.abs(whole.latencyMs.p50 / half.latencyMs.p50 - 1)).toBeLessThan(0.15);
  });
});

it('plans give engines and event loops the room that they are to have', () => {
  const setting = { ...SETTING, seconds: 5 };
  const target = { candidatesPerS: 4_000, experts: 20, candidatesPerCall: 16, cores: 2 };
  for (const { name, plan } of scenarios(COSTS, target).filter((one) => / 70 %|what each/.test(one.name))) {
    const { busy } = simulate(plan, setting);
    expect([name, busy.engine > 0.6 && busy.engine < 0.8, busy.router <= 0.55]).toEqual([name, true, true]);
  }
});
