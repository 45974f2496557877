import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

/** Tokens per second against completions at once. */
export function generateChart(records: readonly BenchRecord[]): Chart {
  return {
    title: 'Generation',
    data: {
      values: records.flatMap(({ parameters, value, peer, peer_value }) => [
        { samples: parameters?.['samples'], who: 'dmoerm', speed: value },
        ...(peer === undefined ? [] : [{ samples: parameters?.['samples'], who: peer, speed: peer_value }]),
      ]),
    },
    width: 400,
    height: 250,
    mark: { type: 'line', point: true },
    encoding: {
      x: {
        field: 'samples',
        type: 'quantitative',
        scale: { type: 'log', base: 2 },
        title: 'completions at once',
      },
      y: { field: 'speed', type: 'quantitative', aggregate: 'max', title: 'new tokens/s' },
      color: { field: 'who', type: 'nominal', title: null, sort: null },
    },
  };
}
