import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

/** Shares of the peak over the height of the product, a panel per type and shape, ours and oneDNN's. */
export function gemmChart(records: readonly BenchRecord[]): Chart {
  const products = records.filter(({ metric }) => metric === 'beside oneDNN');
  const points = products.flatMap(({ parameters, value, peer, peer_value }) => {
    const at = { ...parameters, shape: `N=${parameters?.['N']} K=${parameters?.['K']}` };
    const own = { ...at, who: 'dmoerm', share: value };
    return peer_value === undefined ? [own] : [own, { ...at, who: peer, share: peer_value }];
  });
  return {
    title: "Matrix products, share of the machine's peak",
    data: { values: points },
    facet: {
      row: { field: 'type', title: null, sort: null },
      column: { field: 'shape', title: null, sort: null },
    },
    spec: {
      width: 180,
      height: 140,
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'M', type: 'ordinal', title: 'rows', axis: { labelAngle: 0 } },
        y: { field: 'share', type: 'quantitative', title: 'share of peak', scale: { domain: [0, 1.1] } },
        color: { field: 'who', type: 'nominal', title: null, sort: null },
      },
    },
  };
}
