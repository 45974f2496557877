import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderSvg, type Chart } from '@dmoerm/evaluation';
import type { Metric } from './metrics';

/** Most points of a curve: steps are averaged over windows. */
const POINTS = 100;

/** Draws every `metrics.jsonl` of a run folder as SVG beside it; gives the plots' paths. */
export async function plotRun(folder: string): Promise<string[]> {
  const files = (await readdir(folder, { recursive: true })).filter((path) =>
    /(metrics|language-model)\.jsonl$/.test(path),
  );
  const plots: string[] = [];
  for (const file of files.sort()) {
    const plot = join(folder, file.replace(/\.jsonl$/, '.svg'));
    const lines = (await readFile(join(folder, file), 'utf8')).trim().split('\n');
    await writeFile(plot, await renderSvg(chartOf(lines.map((line) => JSON.parse(line) as Metric))));
    plots.push(plot);
  }
  return plots;
}

/** Loss of training and validation against steps, and accuracy on validation, a colour per unit. */
function chartOf(metrics: readonly Metric[]): Chart {
  const units = [...new Set(metrics.map(({ unit }) => unit))];
  const losses = units.flatMap((unit) =>
    windows(metrics.filter((one) => one.unit === unit && one.type === 'step')),
  );
  const valid = metrics.filter((one) => one.type === 'valid');
  const x = { field: 'step', type: 'quantitative', title: 'step' } as const;
  const color = { field: 'unit', type: 'nominal', title: null } as const;
  const y = (field: string, title: string) =>
    ({ field, type: 'quantitative', title, scale: { zero: false } }) as const;
  return {
    hconcat: [
      {
        title: 'Loss (points: validation)',
        layer: [
          { data: { values: losses }, mark: 'line', encoding: { x, y: y('loss', 'loss'), color } },
          { data: { values: valid }, mark: 'point', encoding: { x, y: y('loss', 'loss'), color } },
        ],
      },
      {
        title: 'Accuracy on validation',
        data: { values: valid },
        mark: { type: 'line', point: true },
        encoding: { x, y: y('accuracy', 'accuracy'), color },
      },
    ],
  };
}

/** Means over windows of steps. */
function windows(steps: readonly Metric[]): { unit: string; step: number; loss: number }[] {
  const size = Math.max(1, Math.ceil(steps.length / POINTS));
  const means: { unit: string; step: number; loss: number }[] = [];
  for (let at = 0; at < steps.length; at += size) {
    const part = steps.slice(at, at + size);
    const last = part.at(-1);
    if (last !== undefined)
      means.push({
        unit: last.unit,
        step: last.step,
        loss: part.reduce((sum, { loss }) => sum + loss, 0) / part.length,
      });
  }
  return means;
}
