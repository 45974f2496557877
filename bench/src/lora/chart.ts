import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

/** Overhead of every case and kind of adapter, as measured and as its operations say. */
export function loraChart(records: readonly BenchRecord[]): Chart {
  const overheads = records.filter(({ unit, peer }) => unit === '%' && peer !== undefined);
  const row = ({ parameters, case: name }: BenchRecord) => ({
    adapter: parameters?.['adapter'],
    work: name.replace(` ${parameters?.['adapter']}`, ''),
  });
  return {
    title: 'LoRA over K base passes, %',
    data: {
      values: overheads.flatMap((record) => [
        { ...row(record), what: 'measured', percent: record.value },
        { ...row(record), what: 'operations', percent: record.peer_value },
      ]),
    },
    facet: { row: { field: 'adapter', title: null, sort: null } },
    resolve: { scale: { x: 'independent' } },
    spec: {
      width: { step: 18 },
      height: 140,
      mark: 'bar',
      encoding: {
        x: { field: 'work', type: 'nominal', title: null, sort: null },
        xOffset: { field: 'what', sort: null },
        y: { field: 'percent', type: 'quantitative', title: '%' },
        color: { field: 'what', type: 'nominal', title: null, sort: null },
      },
    },
  };
}
