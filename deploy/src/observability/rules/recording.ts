import { FAULTS, PUBLIC_CALLS, share, shareBeside } from './promql';
import type { RecordingRule, RuleGroup } from './rule';

const DURATION = 'dmoerm_request_duration_seconds';
/** Windows of the error budget: a short and a long one for each of two speeds of its use. */
export const BUDGET_WINDOWS = ['5m', '30m', '1h', '6h'] as const;

const rate = (metric: string, window: string, by: string): string =>
  `sum by (${by}) (rate(${metric}[${window}]))`;

const quantile = (q: number, metric: string, by: string): string =>
  `histogram_quantile(${q}, ${rate(`${metric}_bucket`, '5m', `${by}, le`)})`;

const CALLS: readonly RecordingRule[] = [
  {
    record: 'service_method_code:dmoerm_requests:rate5m',
    expr: rate(`${DURATION}_count`, '5m', 'namespace, service, method, code'),
  },
  ...[0.5, 0.99].map((q) => ({
    record: `service_method:${DURATION}:p${100 * q}`,
    expr: quantile(q, DURATION, 'namespace, service, method'),
  })),
  ...BUDGET_WINDOWS.map((window) => ({
    record: `namespace:dmoerm_call_faults:ratio_rate${window}`,
    expr: share(
      rate(`${DURATION}_count{${PUBLIC_CALLS},${FAULTS}}`, window, 'namespace'),
      rate(`${DURATION}_count{${PUBLIC_CALLS}}`, window, 'namespace'),
    ),
  })),
];

const WORK: readonly RecordingRule[] = [
  {
    record: 'task:dmoerm_queue_wait_seconds:p95',
    expr: quantile(0.95, 'dmoerm_queue_wait_seconds', 'namespace, task'),
  },
  {
    record: 'task_backend:dmoerm_forward_duration_seconds:p95',
    expr: quantile(0.95, 'dmoerm_forward_duration_seconds', 'namespace, task, backend'),
  },
  { record: 'task:dmoerm_tokens:rate5m', expr: rate('dmoerm_batch_tokens_sum', '5m', 'namespace, task') },
  {
    record: 'namespace:dmoerm_shed:ratio_rate5m',
    expr: shareBeside(
      rate('dmoerm_shed_total', '5m', 'namespace'),
      rate('dmoerm_candidates_total', '5m', 'namespace'),
    ),
  },
  {
    record: 'peer:dmoerm_attempt_faults:ratio_rate5m',
    expr: share(
      rate('dmoerm_attempts_total{outcome=~"unavailable|internal|unknown"}', '5m', 'namespace, peer'),
      rate('dmoerm_attempts_total', '5m', 'namespace, peer'),
    ),
  },
  {
    record: 'peer:dmoerm_hedges:ratio_rate5m',
    expr: share(
      rate('dmoerm_hedges_total', '5m', 'namespace, peer'),
      rate('dmoerm_attempts_total', '5m', 'namespace, peer'),
    ),
  },
];

/**
 * Drift of a capability's scores, from their histogram: the Kolmogorov-Smirnov distance, which is the largest difference at any bucket's
 * bound between the share of scores below it in the last hour and the mean of that share over the last week. 0: as ever; 1: nothing in common. It sees
 * shifts and changes of shape alike.
 */
const DRIFT: readonly RecordingRule[] = [
  {
    record: 'task_capability:dmoerm_capability_score:count1h',
    expr: 'sum by (namespace, task, capability) (increase(dmoerm_capability_score_count[1h]))',
  },
  {
    record: 'task_capability:dmoerm_capability_score:mean1h',
    expr: `${rate('dmoerm_capability_score_sum', '1h', 'namespace, task, capability')} / (${rate('dmoerm_capability_score_count', '1h', 'namespace, task, capability')} > 0)`,
  },
  {
    record: 'task_capability_le:dmoerm_capability_score:share1h',
    expr: `${rate('dmoerm_capability_score_bucket', '1h', 'namespace, task, capability, le')} / ignoring (le) group_left () (${rate('dmoerm_capability_score_count', '1h', 'namespace, task, capability')} > 0)`,
  },
  {
    record: 'task_capability:dmoerm_capability_score:distance7d',
    expr: 'max without (le) (abs(task_capability_le:dmoerm_capability_score:share1h - avg_over_time(task_capability_le:dmoerm_capability_score:share1h[7d])))',
  },
];

/**
 * Signs of a policy that learns to please the model rather than people, by task: how far the scores of all capabilities are above those of
 * the validation pairs (standard deviations; 0 there), how far the experts are apart, how often the longer of two responses wins.
 */
const OVER_OPTIMISATION: readonly RecordingRule[] = [
  {
    record: 'task:dmoerm_capability_score:inflation1h',
    expr: 'avg by (namespace, task) (task_capability:dmoerm_capability_score:mean1h)',
  },
  {
    record: 'task:dmoerm_expert_spread:count1h',
    expr: 'sum by (namespace, task) (increase(dmoerm_expert_spread_count[1h]))',
  },
  {
    record: 'task:dmoerm_expert_spread:mean1h',
    expr: `${rate('dmoerm_expert_spread_sum', '1h', 'namespace, task')} / (${rate('dmoerm_expert_spread_count', '1h', 'namespace, task')} > 0)`,
  },
  {
    record: 'task:dmoerm_length_pairs:count1h',
    expr: 'sum by (namespace, task) (increase(dmoerm_length_pairs_total[1h]))',
  },
  {
    record: 'task:dmoerm_length_pairs:longer1h',
    expr: share(
      'sum by (namespace, task) (rate(dmoerm_length_pairs_total{preferred="longer"}[1h]))',
      rate('dmoerm_length_pairs_total', '1h', 'namespace, task'),
    ),
  },
];

/** What dashboards and alerts read more than once, or over long times. */
export const RECORDING_RULES: readonly RuleGroup<RecordingRule>[] = [
  { name: 'dmoerm-calls', rules: CALLS },
  { name: 'dmoerm-work', rules: WORK },
  { name: 'dmoerm-drift', rules: DRIFT },
  { name: 'dmoerm-over-optimisation', rules: OVER_OPTIMISATION },
];
