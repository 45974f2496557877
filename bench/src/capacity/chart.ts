import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

/** Latency over the share of the time in which engines work, a line per number of experts and percentile. */
export function capacityChart(records: readonly BenchRecord[]): Chart {
  const cases = [
    ...new Set(records.filter(({ parameters }) => parameters?.['series']).map((one) => one.case)),
  ];
  const values = cases.flatMap((name) => {
    const own = records.filter((record) => record.case === name);
    const figure = (metric: string): number => own.find((one) => one.metric === metric)?.value ?? NaN;
    const experts = own[0]?.parameters?.['series'];
    return ['p50', 'p99'].map((percentile) => ({
      experts,
      percentile,
      busy: figure('engines at work'),
      ms: figure(`latency, ${percentile}`),
    }));
  });
  return {
    title: 'Latency of calls, simulated with measured costs',
    data: { values },
    width: 480,
    height: 300,
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'busy', type: 'quantitative', title: 'engines at work, %' },
      y: { field: 'ms', type: 'quantitative', title: 'ms', scale: { type: 'log' } },
      color: { field: 'experts', type: 'nominal', title: null, sort: null },
      strokeDash: { field: 'percentile', type: 'nominal', title: null },
    },
  };
}
