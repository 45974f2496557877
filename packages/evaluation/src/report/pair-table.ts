import type { PairReport } from '../pairs/evaluate-pairs';
import type { Figure } from '../pairs/figures';
import { share, shareCell, textTable } from './text-table';

/** A part of the report: rows of cells, the first one the header. */
export interface Section {
  readonly title: string;
  readonly rows: readonly (readonly string[])[];
}

/** The report's tables, for the terminal and for the page. */
export function pairSections(report: PairReport): Section[] {
  return [
    { title: 'Accuracy', rows: accuracyRows(report) },
    {
      title: `Difference to ${report.differences[0]?.reference ?? 'the first arm'}`,
      rows: differenceRows(report),
    },
    { title: 'By task', rows: categoryRows(report, 'per_task') },
    { title: 'By source', rows: categoryRows(report, 'per_source') },
    { title: 'Length and style', rows: lengthRows(report) },
    { title: 'Calibration', rows: calibrationRows(report) },
    { title: 'Router', rows: routerRows(report) },
    { title: 'Single capability scores', rows: capabilityRows(report) },
    { title: 'First turn in training, apart', rows: seenRows(report) },
  ].filter(({ rows }) => rows.length > 1);
}

/** The report for people. */
export function formatPairReport(report: PairReport): string {
  const { coverage, planned, provenance } = report;
  return [
    `${coverage.pairs} pairs (split ${String(provenance['split'])}); ${coverage.ties} ties left out, ` +
      `${coverage.first_turn_in_train} whose first turn is in training apart; shares with 95 % intervals over prompts and seeds`,
    `a difference of ${share(planned.detectable_difference)} is found in 80 % of cases (planned, deviation ${planned.assumed_deviation})`,
    ...pairSections(report).flatMap(({ title, rows }) => [
      '',
      title,
      ...textTable(rows).map((row) => `  ${row}`),
    ]),
  ].join('\n');
}

function accuracyRows({ arms }: PairReport): string[][] {
  return [
    ['arm', 'seeds', 'pairs', 'prompts', 'accuracy', 'not judged'],
    ...arms.map((one) => [
      one.arm,
      `${one.seeds}`,
      `${one.pairs}`,
      `${one.prompts}`,
      shareCell({ ...one, value: one.accuracy }),
      [...Object.entries(one.failures), ['truncated', one.truncated], ['reward ties', one.reward_ties]]
        .filter(([, count]) => count !== 0)
        .map(([reason, count]) => `${reason} ${count}`)
        .join(', '),
    ]),
  ];
}

function differenceRows({ differences }: PairReport): string[][] {
  return [
    ['arm', 'pairs', 'difference', 'p', 'detectable', 'tasks that differ (Holm p < .05)'],
    ...differences.map((one) => [
      one.arm,
      `${one.pairs}`,
      shareCell(one),
      share(one.p),
      share(one.detectable),
      Object.entries(one.categories)
        .filter(([, { p_holm: p }]) => p < 0.05)
        .map(([task, { value }]) => `${task} ${(value ?? 0) < 0 ? '' : '+'}${share(value)}`)
        .join(', ') || '-',
    ]),
  ];
}

function categoryRows({ arms }: PairReport, kind: 'per_task' | 'per_source'): string[][] {
  const names = [...new Set(arms.flatMap((one) => Object.keys(one[kind])))].sort();
  const count = (name: string, of: 'pairs' | 'prompts'): string =>
    `${Math.max(...arms.map((one) => one[kind][name]?.[of] ?? 0))}`;
  return [
    [kind === 'per_task' ? 'task' : 'source', 'pairs', 'prompts', ...arms.map(({ arm }) => arm)],
    ...names.map((name) => [
      name,
      count(name, 'pairs'),
      count(name, 'prompts'),
      ...arms.map((one) => cell(one[kind][name])),
    ]),
  ];
}

function cell(figure: Figure | undefined): string {
  return figure === undefined ? '-' : shareCell(figure);
}

function lengthRows({ arms }: PairReport): string[][] {
  return [
    [
      'arm',
      'shorter preferred',
      'longer preferred',
      'matched length',
      'style taken out',
      'rho length',
      'rho markdown',
      'R2',
    ],
    ...arms.flatMap(({ arm, length }) =>
      length === null
        ? []
        : [
            [
              arm,
              shareCell(length.shorter_preferred),
              shareCell(length.longer_preferred),
              shareCell(length.length_matched),
              shareCell(length.residual),
              shareCell(length.spearman_length),
              shareCell(length.spearman_markdown),
              share(length.r_squared),
            ],
          ],
    ),
  ];
}

function calibrationRows({ arms }: PairReport): string[][] {
  return [
    ['arm', 'temperature', 'pairs', 'ECE', 'Brier', 'NLL'],
    ...arms.flatMap(({ arm, calibration: own }) =>
      own === null
        ? []
        : [
            [
              arm,
              own.temperature_source === 'bundle' ? "the bundle's" : 'fitted on valid',
              `${own.pairs}`,
              share(own.ece),
              share(own.brier),
              share(own.nll),
            ],
          ],
    ),
  ];
}

function routerRows({ router }: PairReport): string[][] {
  return [
    ['arm', 'prompts of', 'prompts', 'task known', 'accuracy', 'macro F1', 'ECE', 'fell back'],
    ...router.map((one) => [
      one.arm,
      one.prompts_of,
      `${one.prompts}`,
      `${one.known}`,
      share(one.accuracy),
      share(one.macro_f1),
      share(one.ece),
      `${one.fallbacks}`,
    ]),
  ];
}

function capabilityRows({ capabilities }: PairReport): string[][] {
  return [
    ['arm', 'task', 'capability', 'pairs', 'prompts', 'accuracy', 'longer wins'],
    ...capabilities.map((one) => [
      one.arm,
      one.task,
      one.capability,
      `${one.pairs}`,
      `${one.prompts}`,
      shareCell(one),
      share(one.longer_wins),
    ]),
  ];
}

function seenRows({ first_turn_in_train: seen }: PairReport): string[][] {
  return [
    ['arm', 'pairs', 'prompts', 'accuracy'],
    ...seen
      .filter(({ pairs }) => pairs > 0)
      .map((one) => [one.arm, `${one.pairs}`, `${one.prompts}`, shareCell(one)]),
  ];
}
