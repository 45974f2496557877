import type { BenchRecord } from '../records';
import { formatNumber } from '../table';
import type { Scenario } from './scenarios';
import type { Result, Setting } from './simulate';

/** Columns of the table: a metric of the records, its heading. */
const COLUMNS = {
  'latency, p50': 'p50 ms',
  'latency, p99': 'p99 ms',
  'latency, p99.9': 'p99.9 ms',
  'engines at work': 'engines busy',
  'routers at work': 'routers busy',
  refused: 'refused',
} as const;
type Metric = keyof typeof COLUMNS;

/** What a scenario came to, a record per figure. */
export function capacityRecords(
  { name, plan, series }: Scenario,
  result: Result,
  setting: Setting,
): BenchRecord[] {
  const { latencyMs, busy, calls, refused } = result;
  const figures: Readonly<Record<Metric, readonly [number, string]>> = {
    'latency, p50': [latencyMs.p50, 'ms'],
    'latency, p99': [latencyMs.p99, 'ms'],
    'latency, p99.9': [latencyMs.p999, 'ms'],
    'engines at work': [busy.engine * 100, '%'],
    'routers at work': [busy.router * 100, '%'],
    refused: [(refused / calls) * 100, '%'],
  };
  const parameters = {
    candidates_per_s: plan.candidatesPerS,
    candidates_per_call: plan.candidatesPerCall,
    experts: plan.experts,
    routers: plan.routers,
    aggregators: plan.aggregators,
    cells: plan.cells,
    tokens_per_s_and_expert: plan.tokensPerS,
    tokens_per_batch: result.tokensPerBatch,
    connections_per_expert: Math.ceil(plan.routers / plan.cells),
    ...(series !== null && { series }),
    calls,
    seed: setting.seed,
  };
  const note = noteOf(setting);
  return Object.entries(figures).map(([metric, [value, unit]]) => ({
    bench: 'capacity',
    case: name,
    parameters,
    metric,
    unit,
    value,
    note,
  }));
}

function noteOf({ costs, networkSeconds, seconds }: Setting): string {
  return (
    `simulated: ${seconds} s of calls, costs as measured with the bundle ${costs.bundle}, ${networkSeconds * 1e3} ms one way between two services ` +
    '(assumed), responses of log-normal length, no faults'
  );
}

/** The records as a table in Markdown. */
export function capacityTable(records: readonly BenchRecord[]): string[] {
  const cases = [...new Set(records.map((record) => record.case))];
  const head = [
    '',
    'candidates/s',
    'experts',
    'routers',
    'aggregators',
    'tokens/s and expert',
    'connections per expert',
  ];
  const row = (name: string): string[] => {
    const own = records.filter((record) => record.case === name);
    const parameter = (key: string): string =>
      Math.round(Number(own[0]?.parameters?.[key])).toLocaleString('en');
    const plan = [
      'candidates_per_s',
      'experts',
      'routers',
      'aggregators',
      'tokens_per_s_and_expert',
      'connections_per_expert',
    ].map(parameter);
    const figures = Object.keys(COLUMNS).map((metric) => {
      const found = own.find((record) => record.metric === metric);
      return found === undefined ? '' : `${formatNumber(found.value)}${found.unit === '%' ? ' %' : ''}`;
    });
    return [name, ...plan, ...figures];
  };
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const all = [...head, ...Object.values(COLUMNS)];
  return [
    line(all),
    line(all.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...cases.map((name) => line(row(name))),
  ];
}
