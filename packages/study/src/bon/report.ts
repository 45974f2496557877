import type { Chart } from '@dmoerm/evaluation';
import { curvesChart } from '../curves-chart';
import { markdown, number, withInterval } from '../tables';
import type { BonFigures } from './figures';
import type { Signs } from './signs';

/** Everything that the study found. */
export interface BonReport {
  readonly size: object;
  readonly data: string;
  readonly prompts: number;
  readonly arms: readonly BonFigures[];
  readonly signs: readonly Signs[];
}

/** Tables in Markdown, by noise. */
export function bonTables({ arms, signs }: BonReport): string {
  const noises = [...new Set(arms.map(({ noise }) => noise))];
  return noises
    .flatMap((noise) => [
      `### ${percent(noise)} of the labels flipped`,
      armTable(arms.filter((one) => one.noise === noise)),
      ...signs.filter((one) => one.noise === noise).map(signTable),
    ])
    .join('\n\n');
}

function armTable(arms: readonly BonFigures[]): string {
  const largest = arms[0]?.curve.at(-1)?.n ?? 0;
  return markdown(
    [
      'arm',
      'seeds',
      'passes',
      `gold at n = ${largest} [95 %]`,
      'drop',
      'late',
      'd*',
      'final minus `single`',
      'minus `ensemble_mean`',
      'minus `dmoerm_top_layers`',
    ],
    arms.map((one) => {
      const { minus_single: single, minus_ensemble: ensemble, minus_mixture: mixture } = one;
      return [
        `\`${one.arm}\``,
        `${one.seeds}`,
        one.passes.toFixed(1),
        withInterval(one.final),
        withInterval(one.drop),
        withInterval(one.late),
        peakOf(one),
        ...[single, ensemble, mixture].map((minus) =>
          minus === null ? '' : `${withInterval(minus.final)}${minus.wins ? ' **wins**' : ''}`,
        ),
      ];
    }),
  );
}

/** A peak that lies beyond the largest n was not seen. */
function peakOf({ peak, curve }: BonFigures): string {
  const reached = Math.sqrt(curve.at(-1)?.kl ?? 0);
  return peak.value === null || peak.value > reached || peak.value < 0 ? 'not reached' : number(peak.value);
}

function signTable({ curve, overrating }: Signs): string {
  const rows = curve.map((one) => [
    `${one.n}`,
    ...[one.gold, one.inflation, one.spread].map(number),
    one.words.toFixed(1),
  ]);
  const tells = (name: 'spread' | 'inflation' | 'words'): string => withInterval(overrating[name]);
  return [
    markdown(['n', 'gold', 'inflation', 'spread', 'words'], rows),
    `Rank correlation with how much the reward overrates a response: spread ${tells('spread')}, inflation ${tells('inflation')}, words ${tells('words')}.`,
  ].join('\n\n');
}

/** Gold against sqrt(KL), a panel per noise, for the arms of a list. */
export function bonChart({ arms }: BonReport, names: readonly string[]): Chart {
  const points = names.flatMap((name) =>
    arms
      .filter(({ arm }) => arm === name)
      .flatMap(({ arm, noise, curve }) =>
        curve.map(({ kl, value, interval }) => ({
          arm,
          panel: `${percent(noise)} of the labels flipped`,
          x: Math.sqrt(kl),
          value,
          interval,
        })),
      ),
  );
  return curvesChart(points, 'sqrt(KL) of best-of-n, nats');
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
