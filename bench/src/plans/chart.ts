import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

/** How many times as fast each plan is as each peer, a panel per K and N. */
export function plansChart(records: readonly BenchRecord[]): Chart {
  return {
    title: 'Scores per second: dmoerm / peer',
    data: {
      values: records
        .filter(({ ratio }) => ratio !== undefined)
        .map(({ parameters, peer, ratio }) => ({ ...parameters, peer, ratio })),
    },
    facet: {
      row: { field: 'experts', title: 'experts K' },
      column: { field: 'candidates', title: 'candidates N' },
    },
    spec: {
      width: 320,
      height: 200,
      layer: [
        {
          mark: 'bar',
          encoding: {
            x: { field: 'plan', type: 'nominal', title: null, sort: null, axis: { labelAngle: -30 } },
            xOffset: { field: 'peer', sort: null },
            y: { field: 'ratio', type: 'quantitative', title: 'times as fast' },
            color: { field: 'peer', type: 'nominal', title: null, sort: null },
          },
        },
        { mark: { type: 'rule', strokeDash: [4, 4] }, encoding: { y: { datum: 1 } } },
      ],
    },
  };
}
