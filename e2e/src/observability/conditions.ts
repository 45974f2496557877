import { join } from 'node:path';
import { activateBundle } from '@dmoerm/client';
import { end } from '../faults/support/service-process';
import { damagedCopy, overflowingCopy } from './bundles';
import { DivergingTraining } from './training';
import { whileSending } from './traffic';
import { alerted, seen, traffic, type World } from './world';

/** Something that goes wrong, and the alerts that are to tell of it. */
export interface Condition {
  readonly says: string;
  readonly alerts: readonly string[];
  make(world: World): Promise<void>;
}

/** Times for which processes stand still: longer than a deadline, longer than an event loop may be late. */
const FROZEN_MS = 4000;
const STUTTER_MS = 400;
/** Time between two of the latter. */
const PAUSE_MS = 200;

/** Alerts whose condition takes longer than this looks: promtool fires them in `npm run test:deploy`. */
export const NOT_MADE: Readonly<Record<string, string>> = {
  DmoermTrainingStalls: 'a training without a step for half an hour',
  DmoermReplicasFail:
    'a service that fails 1 of 20 attempts for minutes, while the router leaves failing replicas out at once',
  DmoermScoresInflated: 'a policy that pleases the model, and more than 1,000 of its responses in an hour',
  DmoermLongerWins: 'a policy that learns to be long, and more than 1,000 pairs of its responses in an hour',
  DmoermExpertsDisagree: 'responses unlike those of the week before',
  DmoermReplicasLate: 'replicas that are late for minutes, while second attempts have a budget',
};

/** Everything that can be made to go wrong in minutes, what does least harm first. */
export const CONDITIONS: readonly Condition[] = [
  {
    says: 'a replica is killed again and again',
    alerts: ['DmoermTargetDown', 'DmoermRestarts'],
    make: (world) =>
      whileSending(
        (seed) => traffic(world, { seed }),
        async () => {
          for (let n = 0; n < 3; n++) {
            const victim = world.mesh.get('expert');
            await end(victim.process.child, 'SIGKILL');
            await seen(world, `up{instance="${victim.metrics}"} == 0`);
            await world.mesh.restart(victim);
            await seen(world, `up{instance="${victim.metrics}"} == 1`);
          }
          await alerted(world, 'DmoermRestarts');
        },
      ),
  },
  {
    says: 'the experts stutter',
    alerts: ['DmoermEventLoopLate'],
    make: (world) =>
      whileSending(
        (seed) => traffic(world, { seed: 100 + seed }),
        async () => {
          // Once only would be 1 of 100 ticks between two looks; without a pause nobody would answer when looked at.
          for (let n = 0; n < 60; n++) {
            await world.mesh.freeze('expert', STUTTER_MS);
            if (await alerted(world, 'DmoermEventLoopLate', PAUSE_MS)) break;
          }
        },
      ),
  },
  {
    says: 'a process has few files, a process takes long to drain',
    alerts: ['DmoermFilesRunOut', 'DmoermDrainLong'],
    make: async (world) => {
      const [open] = await world.prometheus.query('max(process_open_fds{service="aggregator"})');
      const most = Math.floor(Number(open?.value[1]) / 0.85);
      const short = await world.mesh.addOutsider('aggregator', (command) => [
        'sh',
        '-c',
        `ulimit -n ${most}; exec "$@"`,
        'sh',
        ...command.map((word, i) => (command[i - 1] === '--lame-duck-ms' ? '20000' : word)),
      ]);
      await alerted(world, 'DmoermFilesRunOut');
      short.process.child.kill('SIGTERM');
      await alerted(world, 'DmoermDrainLong');
      await end(short.process.child, 'SIGKILL');
    },
  },
  {
    says: 'the aggregators are away',
    alerts: ['DmoermServiceAbsent', 'DmoermRewardsDegraded'],
    make: (world) =>
      world.mesh.without('aggregator', () =>
        whileSending(
          (seed) => traffic(world, { seed: 200 + seed }),
          async () => {
            await alerted(world, 'DmoermServiceAbsent');
            await alerted(world, 'DmoermRewardsDegraded');
          },
        ),
      ),
  },
  {
    says: 'the experts are away',
    alerts: ['DmoermErrorBudgetBurnsFast', 'DmoermErrorBudgetBurnsSlowly'],
    make: (world) =>
      world.mesh.without('expert', () =>
        whileSending(
          (seed) => traffic(world, { seed: 300 + seed }),
          async () => {
            await alerted(world, 'DmoermErrorBudgetBurnsFast');
            await alerted(world, 'DmoermErrorBudgetBurnsSlowly');
          },
        ),
      ),
  },
  {
    says: 'a bundle is damaged',
    alerts: ['DmoermBundleRefused'],
    make: async (world) => {
      const damaged = damagedCopy(world.bundle, join(world.folder, 'damaged'));
      const refused = await activateBundle(damaged, world.mesh.addresses).catch(() => null);
      if (refused !== null) throw new Error('a damaged bundle was taken');
      await alerted(world, 'DmoermBundleRefused');
    },
  },
  {
    says: 'the scores of a bundle overflow; one expert has it before the others',
    alerts: ['DmoermRevisionsDiffer', 'DmoermNotFinite', 'DmoermCandidatesRefused'],
    make: async (world) => {
      const overflowing = overflowingCopy(world.bundle, join(world.folder, 'overflowing'));
      const { addresses } = world.mesh;
      const first = { routers: [], aggregators: [], experts: addresses.experts.slice(0, 1) };
      await activateBundle(overflowing, first, { keep: true });
      await alerted(world, 'DmoermRevisionsDiffer');
      await activateBundle(overflowing, addresses);
      await whileSending(
        (seed) => traffic(world, { seed: 400 + seed }),
        async () => {
          await alerted(world, 'DmoermNotFinite');
          await alerted(world, 'DmoermCandidatesRefused');
        },
      );
      await activateBundle(world.bundle, addresses);
    },
  },
  {
    says: 'more is asked than can be computed',
    alerts: ['DmoermQueueWaitLong', 'DmoermCallsSlow', 'DmoermItemsRefused'],
    make: async (world) => {
      const flood = { items: world.conversations.heavy, burstsPerS: 60, ranks: 8, seconds: 6 };
      // Callers who wait, then callers who do not.
      await traffic(world, { ...flood, deadlineS: 30, seed: 500 });
      await whileSending(
        (seed) => traffic(world, { ...flood, deadlineS: 0.4, seed: 600 + seed }),
        async () => {
          for (const alert of ['DmoermQueueWaitLong', 'DmoermCallsSlow', 'DmoermItemsRefused'])
            await alerted(world, alert);
        },
      );
    },
  },
  {
    says: 'the experts stand still with full queues',
    alerts: ['DmoermItemsExpire'],
    make: (world) =>
      whileSending(
        (seed) =>
          traffic(world, {
            items: world.conversations.heavy,
            burstsPerS: 20,
            ranks: 4,
            deadlineS: 2,
            seed: 800 + seed,
          }),
        async () => {
          for (let n = 0; n < 10; n++) {
            await world.mesh.freeze('expert', FROZEN_MS);
            if (await alerted(world, 'DmoermItemsExpire', 3000)) break;
          }
        },
      ),
  },
  {
    says: 'conversations are not as they were',
    alerts: ['DmoermScoresDrift'],
    make: (world) =>
      whileSending(
        (seed) => traffic(world, { items: world.conversations.strange, burstsPerS: 20, seed: 700 + seed }),
        async () => void (await alerted(world, 'DmoermScoresDrift')),
      ),
  },
  {
    says: 'a training learns too fast',
    alerts: ['DmoermTrainingDiverges'],
    make: async (world) => {
      await using training = await DivergingTraining.start(world.folder);
      world.prometheus.watch(training.metrics);
      await alerted(world, 'DmoermTrainingDiverges');
      await seen(world, 'count_over_time(dmoerm_training_step[1m]) > 10');
    },
  },
];
