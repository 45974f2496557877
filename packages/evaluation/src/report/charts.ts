import type { ArmRecord } from '../pairs/arm-record';
import type { PairReport } from '../pairs/evaluate-pairs';
import type { Figure } from '../pairs/figures';
import type { SuiteArm } from '../suites/evaluate-suite';
import type { Chart } from './svg';

/** A point with its interval, on a row of its arm. */
interface Point {
  readonly row: string;
  readonly arm: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Pixels of an arm's row. */
const ARM_HEIGHT = 11;

function point(row: string, arm: string, { value, interval }: Pick<Figure, 'value' | 'interval'>): Point[] {
  return value === null || interval === null
    ? []
    : [{ row, arm, value, low: interval[0], high: interval[1] }];
}

/** Points with intervals: a band of rows per group, a row per arm; a dashed line at `reference`. */
function intervalChart(title: string, axis: string, reference: number, points: readonly Point[]): Chart {
  const arms = [...new Set(points.map(({ arm }) => arm))];
  const rows = [...new Set(points.map(({ row }) => row))];
  const y = { field: 'row', type: 'nominal', title: null, sort: rows, axis: { labelLimit: 300 } } as const;
  const yOffset = { field: 'arm', type: 'nominal', sort: arms } as const;
  const color = { field: 'arm', type: 'nominal', sort: arms, title: null } as const;
  const x = { type: 'quantitative', title: axis, scale: { zero: false } } as const;
  return {
    title,
    width: 520,
    height: { step: ARM_HEIGHT, for: 'offset' },
    data: { values: [...points] },
    layer: [
      { mark: { type: 'rule', strokeDash: [4, 4], color: '#888' }, encoding: { x: { datum: reference } } },
      { mark: 'rule', encoding: { y, yOffset, color, x: { ...x, field: 'low' }, x2: { field: 'high' } } },
      { mark: { type: 'point', filled: true }, encoding: { y, yOffset, color, x: { ...x, field: 'value' } } },
    ],
  };
}

/** Accuracy of every arm by task, with its mean over tasks first. */
export function accuracyChart(arms: readonly ArmRecord[]): Chart {
  const points = arms.flatMap((one) => [
    ...point('mean over tasks', one.arm, { ...one, value: one.accuracy }),
    ...Object.entries(one.per_task).flatMap(([task, figure]) => point(task, one.arm, figure)),
  ]);
  return intervalChart('Accuracy by task, 95 % intervals', 'accuracy', 0.5, points);
}

/** Differences to the first arm, over all tasks and by task. */
export function differenceChart({ differences }: PairReport): Chart {
  const points = differences.flatMap((one) => [
    ...point('mean over tasks', one.arm, one),
    ...Object.entries(one.categories).flatMap(([task, figure]) => point(task, one.arm, figure)),
  ]);
  const reference = differences[0]?.reference ?? '';
  return intervalChart(`Accuracy minus that of ${reference}, 95 % intervals`, 'difference', 0, points);
}

/** Accuracy against confidence, a point per bin. */
export function reliabilityChart(arms: readonly ArmRecord[]): Chart {
  const values = arms.flatMap(({ arm, calibration }) =>
    (calibration?.bins ?? []).map(({ confidence, accuracy }) => ({ arm, confidence, accuracy })),
  );
  const diagonal = [0.5, 1].map((p) => ({ confidence: p, accuracy: p }));
  const x = {
    field: 'confidence',
    type: 'quantitative' as const,
    scale: { domain: [0.5, 1], clamp: true },
  };
  const y = { field: 'accuracy', type: 'quantitative' as const, scale: { zero: false } };
  return {
    title: 'Reliability: confidence of the larger reward, 15 bins of equal mass',
    width: 380,
    height: 300,
    layer: [
      {
        data: { values: diagonal },
        mark: { type: 'line', strokeDash: [4, 4], color: '#888' },
        encoding: { x, y },
      },
      {
        data: { values },
        mark: { type: 'line', point: true },
        encoding: { x, y, color: { field: 'arm', type: 'nominal', title: null } },
      },
    ],
  };
}

/** Accuracy where the shorter or the longer response was preferred, at matched lengths, and with style taken out. */
export function lengthChart(arms: readonly ArmRecord[]): Chart {
  const points = arms.flatMap(({ arm, length }) =>
    length === null
      ? []
      : [
          ...point('shorter preferred', arm, length.shorter_preferred),
          ...point('longer preferred', arm, length.longer_preferred),
          ...point('matched length', arm, length.length_matched),
          ...point('style taken out', arm, length.residual),
        ],
  );
  return intervalChart('Accuracy by length, 95 % intervals', 'accuracy', 0.5, points);
}

/** A suite's overall figure and parts. */
export function suiteChart(arms: readonly SuiteArm[]): Chart {
  const points = arms.flatMap(({ arm, overall, parts }) => [
    ...point('overall', arm, overall),
    ...Object.entries(parts).flatMap(([part, figure]) => point(part, arm, figure)),
  ]);
  return intervalChart('Score by part, 95 % intervals', 'score', 0.5, points);
}
