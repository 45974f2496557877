import type { Bundle } from '@dmoerm/bundle';
import type { SamplePair } from './sample';
import { standardiseScores } from './bundle-rewards';
import type { Scored, ScoreCache } from './score-cache';
import { correlation, deviation, mean, rootMeanSquare, wilson, type Share } from '../statistics';

/** Pairs whose margin in float32 is below this are near ties; in standard deviations. */
export const NEAR_TIE = 0.05;

/** One number per candidate, of both types. */
interface Measured {
  readonly task: string;
  /** What the number is, e.g. `reward`. */
  readonly measure: string;
  /** Per pair: the chosen response's number, then the rejected one's. */
  readonly reference: readonly (readonly [number, number])[];
  readonly other: readonly (readonly [number, number])[];
}

/** How far a weight type keeps to float32 in one measure. */
export interface Row {
  /**
   * `reward`, `mean` (of the standardised scores), `scores` or `score <capability>`. `scores` pools all single ones: those of a pair
   * are not independent, the interval is too narrow.
   */
  readonly measure: string;
  /** Null: all tasks. */
  readonly task: string | null;
  /** Pairs whose difference has the sign that it has in float32. */
  readonly agreement: Share;
  /** Of them, near ties. */
  readonly nearTies: Share;
  /** The others. */
  readonly clear: Share;
  /** In standard deviations of the float32 numbers of the task. */
  readonly errorRms: number;
  readonly errorLargest: number;
  readonly correlation: number;
}

/** How far the embeddings are from those of float32. */
export interface EmbeddingError {
  readonly rmsOverLargest: number;
  readonly rmsOverRms: number;
  /** The measure of the tolerance table. */
  readonly largestOverLargest: number;
}

/** What a weight type costs. */
export interface Figures {
  readonly rows: readonly Row[];
  readonly embeddings: EmbeddingError;
}

/** Compares two types over the sample, of which every pair must be in both caches. */
export function compare(
  bundle: Bundle,
  sample: readonly SamplePair[],
  reference: ScoreCache,
  other: ScoreCache,
): Figures {
  const measured = new Map<string, { task: string; measure: string; pairs: [number, number][][] }>();
  const embeddings = new EmbeddingErrors();
  for (const { key, task } of sample) {
    const sides = [reference.get(key), other.get(key)];
    sides.forEach((candidates, side) => {
      for (const [measure, values] of measures(bundle, task, candidates)) {
        const name = `${task}/${measure}`;
        const own = measured.get(name) ?? { task, measure, pairs: [[], []] };
        own.pairs[side]?.push(values);
        measured.set(name, own);
      }
    });
    embeddings.add(sides[0] ?? [], sides[1] ?? []);
  }
  const all = [...measured.values()].map(({ task, measure, pairs }): Measured => ({
    task,
    measure,
    reference: pairs[0] ?? [],
    other: pairs[1] ?? [],
  }));
  const of = (measure: string) => all.filter((one) => one.measure === measure);
  const single = all.filter(({ measure }) => measure.startsWith('score '));
  return {
    rows: [
      toRow('reward', null, of('reward')),
      ...of('reward').map((one) => toRow('reward', one.task, [one])),
      toRow('mean', null, of('mean')),
      ...of('mean').map((one) => toRow('mean', one.task, [one])),
      toRow('scores', null, single),
      ...single.map((one) => toRow(one.measure, one.task, [one])),
    ],
    embeddings: embeddings.result(),
  };
}

/** What is measured of a pair: chosen and rejected. */
function measures(bundle: Bundle, task: string, candidates: readonly Scored[]): [string, [number, number]][] {
  const both = (value: (one: Scored) => number): [number, number] => {
    const [chosen = NaN, rejected = NaN] = candidates.map(value);
    return [chosen, rejected];
  };
  return [
    ['reward', both(({ reward }) => reward)],
    ['mean', both(({ scores }) => mean(standardiseScores(bundle, task, scores)))],
    ...bundle
      .task(task)
      .capabilities.map(({ name }, k): [string, [number, number]] => [
        `score ${name}`,
        both(({ scores }) => scores[k] ?? NaN),
      ]),
  ];
}

function toRow(measure: string, task: string | null, groups: readonly Measured[]): Row {
  const pairs = groups.flatMap(({ reference, other }) => {
    const centre = mean(reference.flat());
    const unit = deviation(reference.flat());
    const scale = (pair: readonly number[]) => pair.map((value) => (value - centre) / unit);
    return reference.map((pair, i) => ({ reference: scale(pair), other: scale(other[i] ?? []) }));
  });
  const margin = ([chosen = NaN, rejected = NaN]: readonly number[]): number => chosen - rejected;
  const share = (own: typeof pairs): Share =>
    wilson(
      own.filter((pair) => Math.sign(margin(pair.reference)) === Math.sign(margin(pair.other))).length,
      own.length,
    );
  const isNear = (pair: (typeof pairs)[number]): boolean => Math.abs(margin(pair.reference)) < NEAR_TIE;
  const before = pairs.flatMap((pair) => pair.reference);
  const after = pairs.flatMap((pair) => pair.other);
  const errors = before.map((value, i) => (after[i] ?? NaN) - value);
  return {
    measure,
    task,
    agreement: share(pairs),
    nearTies: share(pairs.filter(isNear)),
    clear: share(pairs.filter((pair) => !isNear(pair))),
    errorRms: rootMeanSquare(errors),
    errorLargest: errors.reduce((largest, error) => Math.max(largest, Math.abs(error)), 0),
    correlation: correlation(before, after),
  };
}

/** Sums over all numbers of all embeddings. */
class EmbeddingErrors {
  private count = 0;
  private squares = 0;
  private errorSquares = 0;
  private largest = 0;
  private largestError = 0;

  add(reference: readonly Scored[], other: readonly Scored[]): void {
    reference.forEach(({ embeddings }, i) => {
      embeddings.forEach((value, c) => {
        const error = (other[i]?.embeddings[c] ?? NaN) - value;
        this.squares += value ** 2;
        this.errorSquares += error ** 2;
        this.largest = Math.max(this.largest, Math.abs(value));
        this.largestError = Math.max(this.largestError, Math.abs(error));
      });
      this.count += embeddings.length;
    });
  }

  result(): EmbeddingError {
    return {
      rmsOverLargest: Math.sqrt(this.errorSquares / this.count) / this.largest,
      rmsOverRms: Math.sqrt(this.errorSquares / this.squares),
      largestOverLargest: this.largestError / this.largest,
    };
  }
}
