import type { Estimate, GroupReport, LabellingResult, Share } from '@dmoerm/label';

type Cell = (group: GroupReport) => string;

const COLUMNS: readonly (readonly [string, Cell])[] = [
  ['task', ({ task }) => task ?? 'all'],
  ['capability', ({ capability }) => capability ?? ''],
  ['pairs', ({ comparisons }) => String(comparisons)],
  ['kept', ({ kept }) => String(kept)],
  ['rate', ({ keepRate }) => (keepRate === null ? '-' : `${(100 * keepRate).toFixed(0)} %`)],
  ['ties', ({ ties }) => String(ties)],
  ['incons.', ({ inconsistent }) => String(inconsistent)],
  ['refused', ({ refused }) => String(refused)],
  ['unclear', ({ truncated, unparsable }) => String(truncated + unparsable)],
  ['first wins', ({ position }) => formatShare(position.firstWins)],
  ['flips', ({ position }) => formatShare(position.swapFlips)],
  ['longer wins', ({ position }) => formatShare(position.longerWins)],
  ['agree', ({ agreement }) => number(agreement?.kept.raw)],
  [
    'kappa',
    ({ agreement }) =>
      agreement?.kept.kappa == null
        ? '-'
        : `${number(agreement.kept.kappa)} [${number(agreement.kept.low)}, ${number(agreement.kept.high)}]`,
  ],
  ['kappa, all', ({ agreement }) => number(agreement?.all.kappa)],
  ['gate', ({ gate }) => gate],
];

/** The figures of a run for people: a line per capability and one of all, then what it cost. */
export function formatLabelling(result: LabellingResult): string {
  const { groups, all, cost, usage, labels } = result;
  const rows = [
    COLUMNS.map(([head]) => head),
    ...[...groups, all].map((one) => COLUMNS.map(([, cell]) => cell(one))),
  ];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const money =
    cost.spent === null
      ? ''
      : `, ${cost.spent.toPrecision(4)} ${cost.currency ?? ''}` +
        (cost.per_kept_label === null ? '' : `, ${cost.per_kept_label.toPrecision(3)} per kept label`);
  return [
    ...lines,
    '',
    `${result.answered} of ${result.questions} questions answered, ${usage.prompt_tokens} + ${usage.completion_tokens} tokens${money}`,
    `${labels.kept} labels and ${labels.ties} ties in ${labels.file}`,
    '',
  ].join('\n');
}

/** What a run would ask and cost, for people. */
export function formatEstimate(estimate: Estimate): string {
  const { comparisons, questions, answered, promptTokens, completionTokens, cost, costAtMost, currency } =
    estimate;
  return (
    `${comparisons} comparisons, ${questions} questions, ${answered} of them answered already\n` +
    `about ${promptTokens} prompt and ${completionTokens} completion tokens are left to buy\n` +
    (cost === null || costAtMost === null
      ? 'no price is known; give --prices\n'
      : `about ${cost.toPrecision(3)} ${currency ?? ''}, without repairs at most ${costAtMost.toPrecision(3)} ${currency ?? ''}\n`)
  );
}

function formatShare(share: Share | null): string {
  return share === null ? '-' : `${number(share.value)} [${number(share.low)}, ${number(share.high)}]`;
}

function number(value: number | null | undefined): string {
  return value == null ? '-' : value.toFixed(2).replace(/^(-?)0\./, '$1.');
}
