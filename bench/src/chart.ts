import { writeFile } from 'node:fs/promises';
import type { TopLevelSpec } from 'vega-lite';
import type { BenchRecord } from './records';

/** A plot, as Vega-Lite describes it. */
export type Chart = TopLevelSpec;

/** Names of peers are long. */
const CONFIG = { legend: { labelLimit: 400 } };

/** Draws a chart into an SVG file. */
export async function writeChart(file: string, chart: Chart): Promise<void> {
  const { compile } = await import('vega-lite');
  const { parse, View } = await import('vega');
  const view = new View(parse(compile({ background: 'white', config: CONFIG, ...chart }).spec), {
    renderer: 'none',
  });
  await writeFile(file, await view.toSVG());
  view.finalize();
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
