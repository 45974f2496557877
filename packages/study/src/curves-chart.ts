import type { Chart } from '@dmoerm/evaluation';
import type { Interval } from './statistics/resample';

/** A point of an arm's curve. */
export interface CurvePoint extends Interval {
  readonly arm: string;
  /** Title of the panel that it is in. */
  readonly panel: string;
  readonly x: number;
}

/** Gold rewards with bands of 95 %, a colour per arm in the order in which they come, a panel beside the other. */
export function curvesChart(points: readonly CurvePoint[], title: string): Chart {
  const values = points.map(({ value, interval: [low, high], ...own }) => ({
    ...own,
    gold: value,
    low,
    high,
  }));
  const x = { field: 'x', type: 'quantitative', title } as const;
  const legend = { symbolOpacity: 1 };
  const color = { field: 'arm', type: 'nominal', sort: null, title: null, legend } as const;
  return {
    data: { values },
    facet: { column: { field: 'panel', type: 'nominal', title: null } },
    spec: {
      width: 330,
      height: 280,
      layer: [
        {
          mark: { type: 'area', opacity: 0.07 },
          encoding: {
            x,
            y: { field: 'low', type: 'quantitative', title: 'gold reward, standard deviations' },
            y2: { field: 'high' },
            color,
          },
        },
        {
          mark: { type: 'line', point: true },
          encoding: { x, y: { field: 'gold', type: 'quantitative' }, color },
        },
      ],
    },
  };
}
