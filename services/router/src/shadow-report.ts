import type { bundleV1 } from '@dmoerm/protos';
import { type rewardV1 } from '@dmoerm/protos';

/** Sums over the candidates of one task; memory does not grow with the traffic. */
interface TaskSums {
  candidates: number;
  pairs: number;
  sameOrder: number;
  readonly active: Running;
  readonly candidate: Running;
  /** Sum of the products of both deviations (Welford, as the variances). */
  coMoment: number;
}

/** Running mean and sum of squared deviations (Welford 1962): no cancellation, whatever the offset of rewards. */
interface Running {
  mean: number;
  squares: number;
}

/** Compares what two revisions say of the same items. */
export class ShadowComparison {
  private items = 0;
  private rerouted = 0;
  private skipped = 0;
  private readonly failures = new Map<string, number>();
  private readonly tasks = new Map<string, TaskSums>();

  constructor(
    private readonly revision: string,
    private readonly share: number,
  ) {}

  /** An item that had no place. */
  skip(): void {
    this.skipped++;
  }

  /** An item that the candidate could not score. */
  fail(reason: string): void {
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1);
  }

  /** An item that both scored. Candidates that either has no reward for are left out. */
  add(active: rewardV1.ScoreResponse, candidate: rewardV1.ScoreResponse): void {
    this.items++;
    const pairs = active.results.flatMap((one, i) => {
      const [mine, theirs] = [scoreOf(one), scoreOf(candidate.results[i])];
      return mine === null || theirs === null ? [] : [{ mine, theirs }];
    });
    const [first] = pairs;
    if (first === undefined) return;
    const task = first.mine.route?.task ?? '';
    if (first.theirs.route?.task !== task) {
      this.rerouted++;
      return;
    }
    const sums = this.tasks.get(task) ?? emptySums();
    this.tasks.set(task, sums);
    const rewards = pairs.map(({ mine, theirs }) => [mine.reward, theirs.reward] as const);
    for (const [mine, theirs] of rewards) addRewards(sums, mine, theirs);
    rewards.forEach(([mine, theirs], i) => {
      for (const [otherMine, otherTheirs] of rewards.slice(i + 1)) {
        const order = Math.sign(mine - otherMine) * Math.sign(theirs - otherTheirs);
        if (order === 0) continue;
        sums.pairs++;
        if (order > 0) sums.sameOrder++;
      }
    });
  }

  report(): bundleV1.ShadowReport {
    return {
      revision: this.revision,
      share: this.share,
      items: BigInt(this.items),
      skipped: BigInt(this.skipped),
      failures: Object.fromEntries([...this.failures].map(([reason, count]) => [reason, BigInt(count)])),
      rerouted: BigInt(this.rerouted),
      tasks: [...this.tasks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([task, sums]) => toTask(task, sums)),
    };
  }
}

function scoreOf(result: rewardV1.CandidateResult | undefined): rewardV1.Score | null {
  return result?.outcome?.$case === 'score' ? result.outcome.value : null;
}

function emptySums(): TaskSums {
  const running = (): Running => ({ mean: 0, squares: 0 });
  return { candidates: 0, pairs: 0, sameOrder: 0, active: running(), candidate: running(), coMoment: 0 };
}

function addRewards(sums: TaskSums, mine: number, theirs: number): void {
  const n = ++sums.candidates;
  const fromMean = mine - sums.active.mean;
  addTo(sums.active, mine, n);
  addTo(sums.candidate, theirs, n);
  sums.coMoment += fromMean * (theirs - sums.candidate.mean);
}

function addTo(running: Running, value: number, n: number): void {
  const before = value - running.mean;
  running.mean += before / n;
  running.squares += before * (value - running.mean);
}

function toTask(task: string, sums: TaskSums): bundleV1.ShadowTask {
  const { candidates, pairs, sameOrder, active, candidate, coMoment } = sums;
  const scale = Math.sqrt(active.squares * candidate.squares);
  const moments = ({ mean, squares }: Running): bundleV1.Moments => ({
    mean,
    deviation: Math.sqrt(squares / Math.max(1, candidates)),
  });
  return {
    task,
    candidates: BigInt(candidates),
    pairs: BigInt(pairs),
    sameOrder: pairs === 0 ? 0 : sameOrder / pairs,
    correlation: scale > 0 ? coMoment / scale : 0,
    active: moments(active),
    candidate: moments(candidate),
  };
}
