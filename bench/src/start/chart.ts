import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

/** Seconds until ready and MiB, a panel per metric, a bar per base and type of weights; peers' figures beside. */
export function startChart(records: readonly BenchRecord[]): Chart {
  const values = records.flatMap((record) => [
    { row: record.case, metric: `${record.metric}, ${record.unit}`, what: 'measured', value: record.value },
    ...(record.peer_value === undefined
      ? []
      : [
          {
            row: record.case,
            metric: `${record.metric}, ${record.unit}`,
            what: record.peer,
            value: record.peer_value,
          },
        ]),
  ]);
  return {
    title: 'Start and memory',
    data: { values },
    facet: { field: 'metric', title: null, sort: null },
    columns: 2,
    resolve: { scale: { x: 'independent' } },
    spec: {
      width: 320,
      mark: 'bar',
      encoding: {
        y: { field: 'row', type: 'nominal', title: null, sort: null },
        yOffset: { field: 'what', sort: null },
        x: { field: 'value', type: 'quantitative', title: null, aggregate: 'max' },
        color: { field: 'what', type: 'nominal', title: null, sort: null },
      },
    },
  };
}
