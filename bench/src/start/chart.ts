import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

const MEASURED = 'measured';
const BESIDE = 'what it is compared with';

/** Seconds and MiB, a panel per metric, a bar per base and type of weights, and one for what it is compared with. */
export function startChart(records: readonly BenchRecord[]): Chart {
  const compared = new Map(
    records.flatMap(({ metric, peer }) => (peer === undefined ? [] : [[metric, peer]])),
  );
  const values = records.flatMap(({ case: row, metric, unit, value, peer_value }) => {
    const peer = compared.get(metric);
    const panel = `${metric}, ${unit}${peer === undefined ? '' : ` (${peer})`}`;
    const own = { row, panel, what: MEASURED, value };
    return peer_value === undefined ? [own] : [own, { row, panel, what: BESIDE, value: peer_value }];
  });
  return {
    title: 'Start and memory',
    data: { values },
    facet: { field: 'panel', title: null, sort: null },
    columns: 1,
    resolve: { scale: { x: 'independent' } },
    spec: {
      width: 320,
      height: { step: 20, for: 'position' },
      mark: 'bar',
      encoding: {
        y: { field: 'row', type: 'nominal', title: null, sort: null },
        yOffset: { field: 'what', sort: [MEASURED, BESIDE] },
        x: { field: 'value', type: 'quantitative', title: null, aggregate: 'max' },
        color: { field: 'what', type: 'nominal', title: null, sort: [MEASURED, BESIDE] },
      },
    },
  };
}
