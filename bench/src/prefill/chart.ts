import type { Chart } from '../chart';
import type { BenchRecord } from '../records';

/** Tokens per second over the length, a line for each who took part (dashed: peers), a panel per model. */
export function prefillChart(records: readonly BenchRecord[]): Chart {
  const speeds = records.filter(({ metric }) => metric === 'prefill');
  const own = speeds.map(({ parameters, value }) => ({
    ...parameters,
    who: `dmoerm ${parameters?.['weights']}`,
    by: 'dmoerm',
    speed: value,
  }));
  const peers = speeds.map(({ parameters, peer, peer_value: speed }) => ({
    ...parameters,
    who: peer,
    by: 'peer',
    speed,
  }));
  return {
    title: 'Prefill of one sequence',
    data: { values: [...own, ...peers.filter(({ speed }) => speed !== undefined)] },
    facet: { column: { field: 'model', title: null, sort: null } },
    resolve: { scale: { y: 'independent' } },
    spec: {
      width: 320,
      height: 280,
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'tokens', type: 'ordinal', title: 'tokens', axis: { labelAngle: 0 } },
        y: { field: 'speed', type: 'quantitative', title: 'tokens/s' },
        color: { field: 'who', type: 'nominal', title: null, sort: null },
        strokeDash: { field: 'by', type: 'nominal', sort: ['dmoerm', 'peer'], legend: null },
      },
    },
  };
}
