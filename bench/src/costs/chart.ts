import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

/** Processor time per call and per unit, a panel each. */
export function costsChart(records: readonly BenchRecord[]): Chart {
  return {
    title: 'Processor time, µs',
    data: {
      values: records
        .filter(({ unit }) => unit === 'µs')
        .map(({ case: part, metric, value }) => ({ part, metric, value })),
    },
    facet: { field: 'metric', title: null, sort: null },
    columns: 1,
    resolve: { scale: { x: 'independent', y: 'independent' } },
    spec: {
      width: 320,
      mark: 'bar',
      encoding: {
        y: { field: 'part', type: 'nominal', title: null, sort: null },
        x: { field: 'value', type: 'quantitative', title: 'µs' },
      },
    },
  };
}
