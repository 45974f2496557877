import type { TopLevelSpec } from 'vega-lite';

/** A plot, as Vega-Lite describes it. */
export type Chart = TopLevelSpec;

/** Names of arms and peers are long. */
const CONFIG = { legend: { labelLimit: 400 } };

/** Draws a chart as SVG text: no script, no network. */
export async function renderSvg(chart: Chart): Promise<string> {
  // Loaded where a plot is asked for: it is large, and published as ES modules only.
  const { compile } = await import('vega-lite');
  const { parse, View } = await import('vega');
  const view = new View(parse(compile({ background: 'white', config: CONFIG, ...chart }).spec), {
    renderer: 'none',
  });
  const svg = await view.toSVG();
  view.finalize();
  return svg;
}
