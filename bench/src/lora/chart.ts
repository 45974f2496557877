import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

/** Overhead of every case, as measured and as the operations added say. */
export function loraChart(records: readonly BenchRecord[]): Chart {
  const overheads = records.filter(({ unit, peer }) => unit === '%' && peer !== undefined);
  return {
    title: 'LoRA over K base passes',
    data: {
      values: overheads.flatMap(({ case: row, value, peer, peer_value }) => [
        { row, what: 'time added', percent: value },
        { row, what: peer, percent: peer_value },
      ]),
    },
    width: 400,
    height: { step: 20, for: 'position' },
    mark: 'bar',
    encoding: {
      y: { field: 'row', type: 'nominal', title: null, sort: null, axis: { labelLimit: 400 } },
      yOffset: { field: 'what', sort: null },
      x: { field: 'percent', type: 'quantitative', title: '%' },
      color: { field: 'what', type: 'nominal', title: null, sort: null },
    },
  };
}
