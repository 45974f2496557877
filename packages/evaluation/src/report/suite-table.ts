import type { SuiteReport } from '../suites/evaluate-suite';
import type { Section } from './pair-table';
import { share, shareCell, textTable } from './text-table';

/** The tables of a suite's report. */
export function suiteSections({ arms }: SuiteReport): Section[] {
  const parts = [...new Set(arms.flatMap((one) => Object.keys(one.parts)))];
  const details = [...new Set(arms.flatMap((one) => Object.keys(one.details)))];
  const names = arms.map(({ arm }) => arm);
  return [
    {
      title: 'Overall',
      rows: [
        ['arm', 'seeds', 'overall', `minus ${names[0] ?? 'the first arm'}`, 'items without rewards'],
        ...arms.map((one) => [
          one.arm,
          `${one.seeds}`,
          shareCell(one.overall),
          shareCell(one.difference),
          Object.entries(one.failures)
            .map(([reason, count]) => `${reason} ${count}`)
            .join(', '),
        ]),
      ],
    },
    {
      title: 'Parts',
      rows: [
        ['part', ...names],
        ...parts.map((part) => [
          part,
          ...arms.map(({ parts: own }) => (own[part] === undefined ? '-' : shareCell(own[part]))),
        ]),
      ],
    },
    {
      title: 'Besides',
      rows: [
        ['figure', ...names],
        ...details.map((detail) => [detail, ...arms.map((one) => share(one.details[detail] ?? null))]),
      ],
    },
  ].filter(({ rows }) => rows.length > 1);
}

/** The report for people. */
export function formatSuiteReport(report: SuiteReport): string {
  const { suite, coverage } = report;
  const leftOut = Object.entries(coverage.left_out)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `; ${reason} ${count} left out`);
  return [
    `${suite}: ${coverage.judged} of ${coverage.items} items have all rewards of all arms${leftOut.join('')}; 95 % intervals`,
    ...suiteSections(report).flatMap(({ title, rows }) => [
      '',
      title,
      ...textTable(rows).map((row) => `  ${row}`),
    ]),
  ].join('\n');
}
