import { writeFile } from 'node:fs/promises';
import { renderSvg, type Chart } from '@dmoerm/evaluation';
import type { BenchRecord } from './records';

export type { Chart };

/** Draws a chart into an SVG file. */
export async function writeChart(file: string, chart: Chart): Promise<void> {
  await writeFile(file, await renderSvg(chart));
}

/** Bars of dmoerm / peer, a panel per peer, with a line at 1. */
export function ratioChart(records: readonly BenchRecord[]): Chart {
  const values = records.filter(({ ratio }) => ratio !== undefined);
  return {
    title: `${records[0]?.bench ?? 'bench'}: dmoerm / peer`,
    data: { values: values.map((record) => ({ ...record, row: `${record.case}, ${record.metric}` })) },
    facet: { row: { field: 'peer', title: null, header: { labelAngle: 0, labelAlign: 'left' } } },
    resolve: { scale: { y: 'independent' } },
    spec: {
      layer: [
        {
          mark: 'bar',
          encoding: {
            y: { field: 'row', type: 'nominal', title: null, sort: null, axis: { labelLimit: 400 } },
            x: { field: 'ratio', type: 'quantitative', title: 'ratio' },
          },
        },
        { mark: { type: 'rule', strokeDash: [4, 4] }, encoding: { x: { datum: 1 } } },
      ],
    },
  };
}
