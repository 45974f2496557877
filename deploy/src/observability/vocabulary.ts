import { METRICS, registry } from '@dmoerm/telemetry';
import { ALERT_RULES } from './rules/alerts';
import { RECORDING_RULES } from './rules/recording';

/** Labels that Prometheus, its operator and the services put on every series. */
export const TARGET_LABELS: readonly string[] = ['service', 'job', 'instance', 'namespace', 'pod'];
const HISTOGRAM_PARTS = ['_bucket', '_sum', '_count'];

/** Labels of every series that a query may name, beyond those of its target, by metric. */
export type Vocabulary = ReadonlyMap<string, ReadonlySet<string>>;

/** What there is to ask for: the metrics that are declared, node's and the process's own, what rules record, and Prometheus' `up`. */
export async function vocabulary(): Promise<Vocabulary> {
  const known = new Map<string, Set<string>>([['up', new Set()]]);
  for (const { name, type, labelNames } of Object.values(METRICS))
    if (type === 'histogram')
      for (const part of HISTOGRAM_PARTS)
        known.set(`${name}${part}`, new Set<string>([...labelNames, ...(part === '_bucket' ? ['le'] : [])]));
    else known.set(name, new Set(labelNames));
  for (const [name, labels] of await ofProcess()) known.set(name, new Set(labels));
  for (const { rules } of RECORDING_RULES)
    for (const { record } of rules) known.set(record, new Set(labelsOf(record)));
  known.set('ALERTS', new Set(['alertname', 'alertstate', 'severity']));
  return known;
}

/** Names of all alerts. */
export function alertNames(): string[] {
  return ALERT_RULES.flatMap(({ rules }) => rules.map(({ alert }) => alert));
}

/** Metrics of node and of the process, with the labels that they have right now. */
async function ofProcess(): Promise<[string, string[]][]> {
  const metrics = await registry.getMetricsAsJSON();
  return metrics
    .filter(({ name }) => !name.startsWith('dmoerm_'))
    .flatMap((metric): [string, string[]][] => {
      const labels = [...new Set(metric.values.flatMap((value) => Object.keys(value.labels)))];
      if (String(metric.type) !== 'histogram' && String(metric.type) !== 'summary')
        return [[metric.name, labels]];
      return HISTOGRAM_PARTS.map((part) => [`${metric.name}${part}`, labels]);
    });
}

/** The labels that a recorded series says it has: those before its first colon. */
function labelsOf(record: string): string[] {
  return record.slice(0, record.indexOf(':')).split('_');
}
