import { PUBLIC_UNARY, growth, share, shareBeside } from './promql';
import type { AlertRule, RuleGroup } from './rule';

/** Share of public calls that may fail through no fault of their callers, over a month. */
export const ERROR_BUDGET = 0.001;
/** So many times as fast as the month allows: the budget is gone in two days, or in five. */
const FAST = 14.4;
const SLOW = 6;
/** Most that 99 of 100 public calls may take, seconds. */
const SLOW_CALL_S = 5;
/** Most that 95 of 100 items may wait for a batch, seconds. */
const LONG_WAIT_S = 1;
/** Drift of scores that is no noise once there are so many of them. */
const DRIFT = { distance: 0.2, scores: 1000 };
/** Scores above those of the validation pairs, standard deviations: policies get better, but not by so much unseen. */
const INFLATED = 1;
/** Share of pairs in which the longer response wins that is no question of quality alone; human labels are at .5 to .65. */
const LONGER = 0.8;
/** Disagreement of the experts, in its own mean of the last week. */
const APART = 1.5;

const burns = (short: string, long: string, speed: number): string =>
  [short, long]
    .map((window) => `namespace:dmoerm_call_faults:ratio_rate${window} > ${speed} * ${ERROR_BUDGET}`)
    .join(' and ');

const CALLS: readonly AlertRule[] = [
  {
    alert: 'DmoermServiceAbsent',
    expr: ['router', 'expert', 'aggregator']
      .map((name) => `absent(dmoerm_draining{service="${name}"})`)
      .join(' or '),
    for: '2m',
    severity: 'critical',
    summary: 'Prometheus sees no {{ $labels.service }}.',
  },
  {
    alert: 'DmoermTargetDown',
    expr: 'up{job="dmoerm"} == 0',
    for: '5m',
    severity: 'warning',
    summary: '{{ $labels.instance }} does not answer Prometheus.',
  },
  {
    alert: 'DmoermErrorBudgetBurnsFast',
    expr: burns('5m', '1h', FAST),
    for: '2m',
    severity: 'critical',
    summary:
      '{{ $value | humanizePercentage }} of the calls fail: the error budget of a month lasts two days.',
  },
  {
    alert: 'DmoermErrorBudgetBurnsSlowly',
    expr: burns('30m', '6h', SLOW),
    for: '15m',
    severity: 'warning',
    summary:
      '{{ $value | humanizePercentage }} of the calls fail: the error budget of a month lasts five days.',
  },
  {
    alert: 'DmoermCallsSlow',
    expr: `service_method:dmoerm_request_duration_seconds:p99{${PUBLIC_UNARY}} > ${SLOW_CALL_S}`,
    for: '10m',
    severity: 'warning',
    summary: '1 of 100 calls of {{ $labels.method }} takes more than {{ $value | humanizeDuration }}.',
  },
];

const WORK: readonly AlertRule[] = [
  {
    alert: 'DmoermQueueWaitLong',
    expr: `task:dmoerm_queue_wait_seconds:p95 > ${LONG_WAIT_S}`,
    for: '10m',
    severity: 'warning',
    summary:
      '1 of 20 items of {{ $labels.task }} waits more than {{ $value | humanizeDuration }} for a batch.',
  },
  {
    alert: 'DmoermItemsRefused',
    expr: 'namespace:dmoerm_shed:ratio_rate5m > 0.05',
    for: '5m',
    severity: 'warning',
    summary: '{{ $value | humanizePercentage }} of the items are refused at admission.',
  },
  {
    alert: 'DmoermItemsExpire',
    // Callers that go away do so for reasons of their own.
    expr: `${share(
      'sum by (namespace) (rate(dmoerm_queue_expired_total{reason!="CANCELLED"}[5m]))',
      'sum by (namespace) (rate(dmoerm_batch_items_sum[5m]))',
    )} > 0.01`,
    for: '10m',
    severity: 'warning',
    summary:
      '{{ $value | humanizePercentage }} as many items pass their deadline in the queue as are computed.',
  },
  {
    alert: 'DmoermReplicasFail',
    expr: 'peer:dmoerm_attempt_faults:ratio_rate5m > 0.05',
    for: '10m',
    severity: 'warning',
    summary: '{{ $value | humanizePercentage }} of the attempts at a replica of the {{ $labels.peer }} fail.',
  },
  {
    alert: 'DmoermReplicasLate',
    // The budget of second attempts is 5 % by default: it is nearly used up.
    expr: 'peer:dmoerm_hedges:ratio_rate5m > 0.04',
    for: '15m',
    severity: 'warning',
    summary:
      '{{ $value | humanizePercentage }} of the attempts at the {{ $labels.peer }} are second ones, since the first was late.',
  },
];

const MODEL: readonly AlertRule[] = [
  {
    alert: 'DmoermNotFinite',
    expr: growth('dmoerm_nonfinite_total', '10m', 'namespace, task, stage'),
    for: '0s',
    severity: 'critical',
    summary:
      '{{ $value | humanize }} candidates of {{ $labels.task }} were NaN or infinite in the {{ $labels.stage }}.',
  },
  {
    alert: 'DmoermRewardsDegraded',
    expr: growth('dmoerm_degraded_total', '10m', 'namespace, task, stage'),
    for: '5m',
    severity: 'warning',
    summary:
      'Rewards of {{ $labels.task }} come from a lesser rule: a part is missing, the {{ $labels.stage }}.',
  },
  {
    alert: 'DmoermCandidatesRefused',
    expr: `${shareBeside(
      'sum by (namespace) (rate(dmoerm_candidate_errors_total[5m]))',
      'sum by (namespace) (rate(dmoerm_candidates_total[5m]))',
    )} > 0.1`,
    for: '15m',
    severity: 'warning',
    summary: '{{ $value | humanizePercentage }} of the candidates get an error in the place of a reward.',
  },
  {
    alert: 'DmoermScoresDrift',
    expr: `task_capability:dmoerm_capability_score:distance7d > ${DRIFT.distance} and task_capability:dmoerm_capability_score:count1h > ${DRIFT.scores}`,
    for: '1h',
    severity: 'warning',
    summary:
      'Scores of {{ $labels.task }}/{{ $labels.capability }} are distributed unlike those of the last week: distance {{ $value | printf "%.2f" }}.',
  },
  {
    alert: 'DmoermScoresInflated',
    expr: `task:dmoerm_capability_score:inflation1h > ${INFLATED} and task:dmoerm_expert_spread:count1h > ${DRIFT.scores}`,
    for: '1h',
    severity: 'warning',
    summary:
      'Scores of {{ $labels.task }} are {{ $value | printf "%.1f" }} standard deviations above those of the validation pairs.',
  },
  {
    alert: 'DmoermLongerWins',
    expr: `task:dmoerm_length_pairs:longer1h > ${LONGER} and task:dmoerm_length_pairs:count1h > ${DRIFT.scores}`,
    for: '1h',
    severity: 'warning',
    summary:
      'In {{ $value | humanizePercentage }} of the pairs of {{ $labels.task }} the longer response has the larger reward.',
  },
  {
    alert: 'DmoermExpertsDisagree',
    expr:
      `task:dmoerm_expert_spread:mean1h > ${APART} * avg_over_time(task:dmoerm_expert_spread:mean1h[7d])` +
      ` and task:dmoerm_expert_spread:count1h > ${DRIFT.scores}`,
    for: '1h',
    severity: 'warning',
    summary:
      'The experts of {{ $labels.task }} disagree more than in the last week: by {{ $value | printf "%.2f" }} standard deviations.',
  },
  {
    alert: 'DmoermRevisionsDiffer',
    expr: 'count by (namespace) (count by (namespace, revision) (dmoerm_revision_info == 1)) > 1',
    for: '10m',
    severity: 'warning',
    summary: '{{ $value }} revisions serve at the same time.',
  },
  {
    alert: 'DmoermBundleRefused',
    expr: growth('dmoerm_bundles_rejected_total', '15m', 'namespace, service, outcome'),
    for: '0s',
    severity: 'warning',
    summary: 'A bundle was refused by the {{ $labels.service }}: {{ $labels.outcome }}.',
  },
];

const PROCESSES: readonly AlertRule[] = [
  {
    alert: 'DmoermRestarts',
    expr: 'changes(process_start_time_seconds{job="dmoerm"}[30m]) > 2',
    for: '0s',
    severity: 'warning',
    summary: '{{ $labels.service }} at {{ $labels.instance }} started {{ $value }} times in half an hour.',
  },
  {
    alert: 'DmoermDrainLong',
    expr: 'dmoerm_draining == 1',
    for: '5m',
    severity: 'warning',
    summary: '{{ $labels.service }} at {{ $labels.instance }} drains and does not end.',
  },
  {
    alert: 'DmoermEventLoopLate',
    expr: 'dmoerm_event_loop_lag_seconds > 0.25',
    for: '10m',
    severity: 'warning',
    summary:
      'The event loop of {{ $labels.service }} at {{ $labels.instance }} is {{ $value | humanizeDuration }} late.',
  },
  {
    alert: 'DmoermFilesRunOut',
    expr: 'process_open_fds{job="dmoerm"} / process_max_fds{job="dmoerm"} > 0.8',
    for: '10m',
    severity: 'warning',
    summary:
      '{{ $labels.service }} at {{ $labels.instance }} has {{ $value | humanizePercentage }} of its files and connections open.',
  },
];

const TRAINING: readonly AlertRule[] = [
  {
    alert: 'DmoermTrainingStalls',
    expr: '(dmoerm_training_progress_ratio < 1) unless (changes(dmoerm_training_step[30m]) > 0)',
    for: '15m',
    severity: 'warning',
    summary: 'The training of {{ $labels.unit }} makes no steps at {{ $value | humanizePercentage }}.',
  },
  {
    alert: 'DmoermTrainingDiverges',
    // A number that is none differs from itself. Below chance, ln 2, a loss that grows is noise of one that was tiny.
    expr: 'dmoerm_training_loss != dmoerm_training_loss or (dmoerm_training_validation_loss > 0.7) > 1.5 * min_over_time(dmoerm_training_validation_loss[6h])',
    for: '5m',
    severity: 'warning',
    summary: 'The loss of {{ $labels.unit }} is {{ $value | printf "%.3g" }}: it learns no more.',
  },
];

/** All alerts; each has a section in the operator's guide. */
export const ALERT_RULES: readonly RuleGroup<AlertRule>[] = [
  { name: 'dmoerm-call-alerts', rules: CALLS },
  { name: 'dmoerm-work-alerts', rules: WORK },
  { name: 'dmoerm-model-alerts', rules: MODEL },
  { name: 'dmoerm-process-alerts', rules: PROCESSES },
  { name: 'dmoerm-training-alerts', rules: TRAINING },
];
