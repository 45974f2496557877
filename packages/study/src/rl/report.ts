import type { Chart } from '@dmoerm/evaluation';
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
  const values = arms.flatMap(({ arm, beta, curve }) =>
    curve.map(({ step, value, interval: [low, high] }) => ({
      arm,
      beta: `KL penalty ${beta}`,
      step,
      gold: value,
      low,
      high,
    })),
  );
  const x = { field: 'step', type: 'quantitative', title: 'steps of GRPO' } as const;
  const color = { field: 'arm', type: 'nominal', sort: null, title: null } as const;
  return {
    data: { values },
    facet: { column: { field: 'beta', type: 'nominal', title: null } },
    spec: {
      width: 330,
      height: 280,
      layer: [
        {
          mark: { type: 'area', opacity: 0.06 },
          encoding: {
            x,
            y: { field: 'low', type: 'quantitative', title: 'gold reward, standard deviations' },
            y2: { field: 'high' },
            color,
          },
        },
        {
          mark: { type: 'line', point: true },
          encoding: { x, y: { field: 'gold', type: 'quantitative' }, color },
        },
      ],
    },
  };
}
