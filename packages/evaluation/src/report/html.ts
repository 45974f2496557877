import type { PairReport } from '../pairs/evaluate-pairs';
import { accuracyChart, differenceChart, lengthChart, reliabilityChart, suiteChart } from './charts';
import type { SuiteReport } from '../suites/evaluate-suite';
import { pairSections, type Section } from './pair-table';
import { suiteSections } from './suite-table';
import { renderSvg, type Chart } from './svg';
import { share } from './text-table';

const STYLE = `body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.2rem .7rem;text-align:left;border-bottom:1px solid #ddd;white-space:nowrap}
figure{margin:1rem 0;overflow-x:auto}section{overflow-x:auto}code{overflow-wrap:anywhere}`;

/** The report as one page that needs no script and no network: tables, and plots as SVG. Holds no prompt and no response. */
export async function pairPage(report: PairReport): Promise<string> {
  const { arms, coverage, planned, provenance } = report;
  const own = arms.filter(({ variant }) => variant === 'routed' || variant === 'longer_wins');
  const charts: Chart[] = [
    accuracyChart(arms),
    differenceChart(report),
    reliabilityChart(arms.filter(({ variant }) => variant === 'routed')),
    lengthChart(own),
  ];
  const figures: string[] = [];
  for (const chart of charts) figures.push(`<figure>${await renderSvg(chart)}</figure>`);
  const intro =
    `${coverage.pairs} pairs; ${coverage.ties} ties left out, ${coverage.first_turn_in_train} whose first turn is in training ` +
    `reported apart. Averaged within a prompt, then over prompts, then over tasks; 95 % intervals by paired bootstrap over prompts ` +
    `within tasks and over seeds. A difference of ${share(planned.detectable_difference)} is found in 80 % of cases ` +
    `(planned, deviation of a prompt ${planned.assumed_deviation}).`;
  return page('Evaluation on preference pairs', [
    `<p>${escape(intro)}</p>`,
    ...figures,
    ...pairSections(report).map(toSection),
    `<h2>Provenance</h2><p><code>${escape(JSON.stringify(provenance))}</code></p>`,
    `<p><code>${escape(JSON.stringify(own.map(({ arm, revisions, bases, engines }) => ({ arm, revisions, bases, engines }))))}</code></p>`,
  ]);
}

/** A suite's report as such a page. */
export async function suitePage(report: SuiteReport): Promise<string> {
  const { suite, arms, coverage, provenance } = report;
  return page(`Evaluation on ${suite}`, [
    `<p>${coverage.judged} of ${coverage.items} items have all rewards of all arms; 95 % intervals by paired bootstrap.</p>`,
    `<figure>${await renderSvg(suiteChart(arms))}</figure>`,
    ...suiteSections(report).map(toSection),
    `<h2>Provenance</h2><p><code>${escape(JSON.stringify(provenance))}</code></p>`,
  ]);
}

/** A page of parts that are markup already. */
function page(title: string, parts: readonly string[]): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title><style>${STYLE}</style></head>
<body><h1>${escape(title)}</h1>
${parts.join('\n')}
</body></html>
`;
}

/** A table with its heading, as markup. */
function toSection({ title, rows }: Section): string {
  const [header = [], ...body] = rows;
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((text) => `<${tag}>${escape(text)}</${tag}>`).join('')}</tr>`;
  return `<h2>${escape(title)}</h2><section><table>${line(header, 'th')}${body.map((row) => line(row, 'td')).join('')}</table></section>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
