import type { Chart } from '@dmoerm/evaluation';
import { curvesChart } from '../curves-chart';
import { markdown, number, withInterval } from '../tables';
import type { RlReport } from './study-rl';

/** Tables in Markdown, by weight of the KL penalty. */
export function rlTables({ arms, size }: RlReport): string {
  return size.betas
    .map((beta) =>
      [
        `### KL penalty ${beta}`,
        markdown(
          [
            'arm',
            'seeds',
            `gold after ${size.steps} steps [95 %]`,
            'best',
            'drop',
            'KL',
            'words',
            'proxy',
            'minus `single`: final',
            'drop',
          ],
          arms
            .filter((one) => one.beta === beta)
            .map((one) => {
              const last = one.curve.at(-1);
              const minus = one.minus_single;
              return [
                `\`${one.arm}\`${minus?.wins === true ? ' **wins**' : ''}`,
                `${one.seeds}`,
                withInterval(one.final),
                number(one.best.value),
                withInterval(one.drop),
                number(last?.kl ?? NaN),
                (last?.words ?? NaN).toFixed(1),
                number(last?.proxy ?? NaN),
                minus === null ? '' : withInterval(minus.final),
                minus === null ? '' : withInterval(minus.drop),
              ];
            }),
        ),
      ].join('\n\n'),
    )
    .join('\n\n');
}

/** Gold against steps, a panel per KL penalty. */
export function rlChart({ arms }: RlReport): Chart {
  const points = arms.flatMap(({ arm, beta, curve }) =>
    curve.map(({ step, value, interval }) => ({
      arm,
      panel: `KL penalty ${beta}`,
      x: step,
      value,
      interval,
    })),
  );
  return curvesChart(points, 'steps of GRPO');
}
