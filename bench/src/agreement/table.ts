import type { AgreementReport, TypeReport } from './agreement';
import { NEAR_TIE, type Row } from './figures';
import { SAMPLE_SEED } from './sample';
import { judged, type BenchRecord, type Goal } from '../records';
import type { Share } from '../statistics';

/** Of the design, for the learned reward over all tasks. */
const GOAL: Goal = { bound: 'at least', value: 0.99 };

/** A record of one measure, with what the table shows beside it. */
export interface AgreementRecord extends BenchRecord {
  readonly [extra: string]: unknown;
}

/** The figures for people. */
export function formatReport({ sample, referenceRowsPerSecond, types, missing }: AgreementReport): string {
  const strata = Object.entries(sample.strata).map(([name, count]) => `${name} ${count}`);
  return [
    `${sample.pairs} preference pairs (seed ${SAMPLE_SEED}, digest ${sample.digest}, preferences.jsonl.gz ${sample.preferences.slice(0, 12)}),`,
    `revision ${sample.revision.slice(0, 12)}; near tie: the margin in f32 is below ${NEAR_TIE} standard deviations of the task`,
    `  ${strata.join(', ')}`,
    ...types.flatMap((one) => ['', ...formatType(one, referenceRowsPerSecond)]),
    ...missing.map(({ type, message }) => `\n${type}: not measured, ${message}`),
  ].join('\n');
}

/** The same for scripts. */
export function toRecords({ sample, referenceRowsPerSecond, types }: AgreementReport): AgreementRecord[] {
  return types.flatMap(({ type, isa, threads, rowsPerSecond, rows, embeddings }) => {
    const at = { sample: sample.digest, revision: sample.revision, isa, threads };
    const speed: AgreementRecord[] = [];
    if (rowsPerSecond !== null)
      speed.push({
        ...at,
        bench: 'agreement',
        case: type,
        metric: 'forward',
        unit: 'tokens/s',
        value: rowsPerSecond,
        ...(referenceRowsPerSecond !== null && {
          peer: 'f32',
          peer_value: referenceRowsPerSecond,
          ratio: rowsPerSecond / referenceRowsPerSecond,
        }),
      });
    return [
      ...speed,
      {
        ...at,
        bench: 'agreement',
        case: type,
        metric: 'embedding_error',
        unit: 'RMS/largest',
        value: embeddings.rmsOverLargest,
        rms_over_rms: embeddings.rmsOverRms,
        largest_over_largest: embeddings.largestOverLargest,
      },
      ...rows.map((row) => ({
        ...at,
        ...judged(
          {
            bench: 'agreement',
            case: `${type} ${label(row)}`,
            metric: 'rank_agreement',
            unit: 'share of pairs',
            value: row.agreement.value,
          },
          row.measure === 'reward' && row.task === null ? GOAL : undefined,
        ),
        agreement: row.agreement,
        near_ties: row.nearTies,
        clear: row.clear,
        error_rms: row.errorRms,
        error_largest: row.errorLargest,
        correlation: row.correlation,
      })),
    ];
  });
}

function formatType(
  { type, isa, threads, rowsPerSecond, rows, embeddings }: TypeReport,
  reference: number | null,
): string[] {
  const speed = [rowsPerSecond, reference].map((value) => (value === null ? '-' : value.toFixed(0)));
  const { rmsOverLargest, rmsOverRms, largestOverLargest } = embeddings;
  const header = ['', 'pairs', 'sign as f32 [95 %]', 'near ties', 'others', 'error RMS', 'largest', '1 - r'];
  return [
    `${type} (${isa}, ${threads} threads): ${speed[0]} tokens/s, f32 ${speed[1]}`,
    `embeddings: RMS error ${rmsOverLargest.toExponential(1)} of the largest, ${rmsOverRms.toExponential(1)} of the RMS;` +
      ` largest error ${largestOverLargest.toExponential(1)} of the largest`,
    ...table([
      header,
      ...rows.map((row) => [
        row.task === null ? label(row) : `  ${[row.task, ...row.measure.split(' ').slice(1)].join('/')}`,
        `${row.agreement.count}`,
        interval(row.agreement),
        fraction(row.nearTies),
        fraction(row.clear),
        `${row.errorRms.toFixed(4)} sd`,
        `${row.errorLargest.toFixed(4)} sd`,
        (1 - row.correlation).toExponential(1),
      ]),
    ]),
  ];
}

function label({ measure, task }: Row): string {
  const names = { reward: 'learned reward', mean: 'mean of scores', scores: 'single scores' };
  const name = names[measure as keyof typeof names] ?? measure;
  return task === null ? name : `${task} ${name}`;
}

function interval({ value, low, high, count }: Share): string {
  return count === 0 ? '-' : `${value.toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}]`;
}

function fraction({ value, count }: Share): string {
  return count === 0 ? '-' : `${Math.round(value * count)}/${count}`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, c) => Math.max(...rows.map((row) => row[c]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((text, c) => text.padEnd(widths[c] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
