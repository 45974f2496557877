/** Series as promtool writes them, and the alerts that are to come of them, no others of that name. */
export interface AlertCase {
  readonly alert: string;
  /** Samples a minute apart, by series. */
  readonly series: Readonly<Record<string, string>>;
  /** When to look. */
  readonly at: string;
  /** Labels without the severity, and the summary as people read it. */
  readonly fires: readonly { readonly labels: Readonly<Record<string, string>>; readonly summary: string }[];
}

const calls = (namespace: string, code: string, samples: string): Record<string, string> => ({
  [`dmoerm_request_duration_seconds_count{namespace="${namespace}",service="router",method="dmoerm.reward.v1.RewardService/Score",code="${code}"}`]:
    samples,
});

const counter = (
  name: string,
  labels: Readonly<Record<string, string>>,
  perMinute: number,
): Record<string, string> => ({
  [series(name, labels)]: `0+${perMinute}x600`,
});

function series(name: string, labels: Readonly<Record<string, string>>): string {
  return `${name}{${Object.entries(labels)
    .map(([key, value]) => `${key}="${value}"`)
    .join(',')}}`;
}

/** All observations of a histogram, in the bucket up to `le`, ten a minute. */
function histogram(
  name: string,
  labels: Readonly<Record<string, string>>,
  bounds: readonly string[],
  le: string,
): Record<string, string> {
  return Object.fromEntries(
    [...bounds, '+Inf'].map((bound, i) => [
      series(`${name}_bucket`, { ...labels, le: bound }),
      i < bounds.indexOf(le) ? '0x600' : '0+10x600',
    ]),
  );
}

const BAD = { namespace: 'bad' };
const GOOD = { namespace: 'good' };
const TASK = { task: 'chat' };
const SCORE = { service: 'router', method: 'dmoerm.reward.v1.RewardService/Score' };
const PROCESS = { job: 'dmoerm', service: 'expert' };
const WAITS = ['0.1', '1', '2.5'];
const DURATIONS = ['0.1', '5', '7.5'];

/** For each alert what makes it fire, beside what must not: namespace `good`, and neighbours that look alike. */
export const ALERT_CASES: readonly AlertCase[] = [
  {
    alert: 'DmoermServiceAbsent',
    series: {
      'dmoerm_draining{service="router"}': '0x20',
      'dmoerm_draining{service="expert"}': '0x20',
      'dmoerm_draining{service="aggregator"}': '0x5 stale',
    },
    at: '15m',
    fires: [{ labels: { service: 'aggregator' }, summary: 'Prometheus sees no aggregator.' }],
  },
  {
    alert: 'DmoermTargetDown',
    series: {
      'up{job="dmoerm",instance="a"}': '0x20',
      'up{job="dmoerm",instance="b"}': '1x20',
      'up{job="other",instance="c"}': '0x20',
    },
    at: '10m',
    fires: [{ labels: { job: 'dmoerm', instance: 'a' }, summary: 'a does not answer Prometheus.' }],
  },
  {
    alert: 'DmoermErrorBudgetBurnsFast',
    series: {
      ...calls('bad', 'OK', '0+95x60'),
      ...calls('bad', 'UNAVAILABLE', '0+5x60'),
      ...calls('good', 'OK', '0+90x60'),
      ...calls('good', 'INTERNAL', '0+1x60'),
      ...calls('good', 'RESOURCE_EXHAUSTED', '0+5x60'),
      ...calls('good', 'INVALID_ARGUMENT', '0+4x60'),
    },
    at: '20m',
    fires: [{ labels: BAD, summary: '5% of the calls fail: the error budget of a month lasts two days.' }],
  },
  {
    alert: 'DmoermErrorBudgetBurnsSlowly',
    series: {
      ...calls('bad', 'OK', '0+99x90'),
      ...calls('bad', 'UNAVAILABLE', '0+1x90'),
      ...calls('good', 'OK', '0+998x90'),
      ...calls('good', 'UNAVAILABLE', '0+2x90'),
    },
    at: '60m',
    fires: [{ labels: BAD, summary: '1% of the calls fail: the error budget of a month lasts five days.' }],
  },
  {
    alert: 'DmoermCallsSlow',
    series: {
      ...histogram('dmoerm_request_duration_seconds', { ...BAD, ...SCORE }, DURATIONS, '7.5'),
      ...histogram('dmoerm_request_duration_seconds', { ...GOOD, ...SCORE }, DURATIONS, '0.1'),
      ...histogram(
        'dmoerm_request_duration_seconds',
        { ...GOOD, service: 'router', method: 'dmoerm.reward.v1.RewardService/StreamScore' },
        DURATIONS,
        '7.5',
      ),
    },
    at: '20m',
    fires: [
      {
        labels: { ...BAD, ...SCORE },
        summary: '1 of 100 calls of dmoerm.reward.v1.RewardService/Score takes more than 7.475s.',
      },
    ],
  },
  {
    alert: 'DmoermQueueWaitLong',
    series: {
      ...histogram('dmoerm_queue_wait_seconds', { ...BAD, ...TASK }, WAITS, '2.5'),
      ...histogram('dmoerm_queue_wait_seconds', { ...GOOD, ...TASK }, WAITS, '1'),
    },
    at: '20m',
    fires: [
      { labels: { ...BAD, ...TASK }, summary: '1 of 20 items of chat waits more than 2.425s for a batch.' },
    ],
  },
  {
    alert: 'DmoermItemsRefused',
    series: {
      ...counter('dmoerm_shed_total', { ...BAD, ...TASK, reason: 'QUEUE_FULL' }, 10),
      ...counter('dmoerm_candidates_total', { ...BAD, ...TASK }, 90),
      ...counter('dmoerm_shed_total', { ...GOOD, ...TASK, reason: 'QUEUE_FULL' }, 1),
      ...counter('dmoerm_candidates_total', { ...GOOD, ...TASK }, 99),
      // Everything is refused: there is no candidate at all.
      ...counter('dmoerm_shed_total', { namespace: 'worst', ...TASK, reason: 'QUEUE_FULL' }, 10),
    },
    at: '15m',
    fires: [
      { labels: BAD, summary: '10% of the items are refused at admission.' },
      { labels: { namespace: 'worst' }, summary: '100% of the items are refused at admission.' },
    ],
  },
  {
    alert: 'DmoermItemsExpire',
    series: {
      ...counter('dmoerm_queue_expired_total', { ...BAD, ...TASK, reason: 'DEADLINE_EXCEEDED' }, 5),
      ...counter('dmoerm_batch_items_sum', { ...BAD, ...TASK }, 100),
      ...counter('dmoerm_queue_expired_total', { ...GOOD, ...TASK, reason: 'CANCELLED' }, 50),
      ...counter('dmoerm_batch_items_sum', { ...GOOD, ...TASK }, 100),
    },
    at: '20m',
    fires: [{ labels: BAD, summary: '5% as many items pass their deadline in the queue as are computed.' }],
  },
  {
    alert: 'DmoermReplicasFail',
    series: {
      ...counter('dmoerm_attempts_total', { ...BAD, peer: 'expert', outcome: 'unavailable' }, 10),
      ...counter('dmoerm_attempts_total', { ...BAD, peer: 'expert', outcome: 'ok' }, 90),
      ...counter('dmoerm_attempts_total', { ...GOOD, peer: 'expert', outcome: 'cancelled' }, 50),
      ...counter('dmoerm_attempts_total', { ...GOOD, peer: 'expert', outcome: 'ok' }, 50),
    },
    at: '20m',
    fires: [
      { labels: { ...BAD, peer: 'expert' }, summary: '10% of the attempts at a replica of the expert fail.' },
    ],
  },
  {
    alert: 'DmoermReplicasLate',
    series: {
      ...counter('dmoerm_hedges_total', { ...BAD, peer: 'expert', outcome: 'ok' }, 5),
      ...counter('dmoerm_attempts_total', { ...BAD, peer: 'expert', outcome: 'ok' }, 100),
      ...counter('dmoerm_hedges_total', { ...GOOD, peer: 'expert', outcome: 'ok' }, 2),
      ...counter('dmoerm_attempts_total', { ...GOOD, peer: 'expert', outcome: 'ok' }, 100),
    },
    at: '30m',
    fires: [
      {
        labels: { ...BAD, peer: 'expert' },
        summary: '5% of the attempts at the expert are second ones, since the first was late.',
      },
    ],
  },
  {
    alert: 'DmoermNotFinite',
    // One counter comes into being, one grows, one stays.
    series: {
      'dmoerm_nonfinite_total{namespace="bad",task="chat",stage="expert"}': '_x20 3x20',
      'dmoerm_nonfinite_total{namespace="bad",task="chat",stage="router"}': '7x18 12x20',
      'dmoerm_nonfinite_total{namespace="good",task="chat",stage="router"}': '7x40',
    },
    at: '22m',
    fires: [
      {
        labels: { ...BAD, ...TASK, stage: 'expert' },
        summary: '3 candidates of chat were NaN or infinite in the expert.',
      },
      {
        labels: { ...BAD, ...TASK, stage: 'router' },
        summary: '5 candidates of chat were NaN or infinite in the router.',
      },
    ],
  },
  {
    alert: 'DmoermRewardsDegraded',
    series: {
      ...counter('dmoerm_degraded_total', { ...BAD, ...TASK, stage: 'aggregator' }, 10),
      'dmoerm_degraded_total{namespace="good",task="chat",stage="aggregator"}': '7x40',
    },
    at: '30m',
    fires: [
      {
        labels: { ...BAD, ...TASK, stage: 'aggregator' },
        summary: 'Rewards of chat come from a lesser rule: a part is missing, the aggregator.',
      },
    ],
  },
  {
    alert: 'DmoermCandidatesRefused',
    series: {
      ...counter('dmoerm_candidate_errors_total', { ...BAD, ...TASK, reason: 'TOO_LONG' }, 20),
      ...counter('dmoerm_candidates_total', { ...BAD, ...TASK }, 80),
      ...counter('dmoerm_candidate_errors_total', { ...GOOD, ...TASK, reason: 'TOO_LONG' }, 5),
      ...counter('dmoerm_candidates_total', { ...GOOD, ...TASK }, 95),
    },
    at: '30m',
    fires: [{ labels: BAD, summary: '20% of the candidates get an error in the place of a reward.' }],
  },
  {
    alert: 'DmoermScoresDrift',
    // For eight hours all scores lie below 0, from then on above; the others go on as ever, or are too few to tell.
    series: Object.fromEntries(
      [
        { capability: 'logic', below: '0+20x480 9600x120', all: '0+20x600' },
        { capability: 'tone', below: '0+10x600', all: '0+20x600' },
        { capability: 'rare', below: '0+2x480 960x120', all: '0+2x600' },
      ].flatMap(({ capability, below, all }) => {
        const labels = { ...BAD, ...TASK, capability };
        return [
          [series('dmoerm_capability_score_bucket', { ...labels, le: '0' }), below],
          [series('dmoerm_capability_score_bucket', { ...labels, le: '+Inf' }), all],
          [series('dmoerm_capability_score_count', labels), all],
        ];
      }),
    ),
    at: '10h',
    fires: [
      {
        labels: { ...BAD, ...TASK, capability: 'logic' },
        summary: 'Scores of chat/logic are distributed unlike those of the last week: distance 0.85.',
      },
    ],
  },
  {
    alert: 'DmoermScoresInflated',
    // Mean scores of 1.5, of 0.5, and of 1.5 from too few.
    series: Object.fromEntries(
      [
        { ...BAD, sum: '0+30x180', count: '0+20x180' },
        { ...GOOD, sum: '0+10x180', count: '0+20x180' },
        { namespace: 'few', sum: '0+3x180', count: '0+2x180' },
      ].flatMap(({ namespace, sum, count }) => [
        [series('dmoerm_capability_score_sum', { namespace, ...TASK, capability: 'logic' }), sum],
        [series('dmoerm_capability_score_count', { namespace, ...TASK, capability: 'logic' }), count],
        [series('dmoerm_expert_spread_count', { namespace, ...TASK }), count],
      ]),
    ),
    at: '3h',
    fires: [
      {
        labels: { ...BAD, ...TASK },
        summary: 'Scores of chat are 1.5 standard deviations above those of the validation pairs.',
      },
    ],
  },
  {
    alert: 'DmoermLongerWins',
    series: Object.fromEntries(
      [
        { ...BAD, longer: '0+18x180', shorter: '0+2x180' },
        { ...GOOD, longer: '0+12x180', shorter: '0+8x180' },
        { namespace: 'few', longer: '0+2x180', shorter: '0+0x180' },
      ].flatMap(({ namespace, longer, shorter }) => [
        [series('dmoerm_length_pairs_total', { namespace, ...TASK, preferred: 'longer' }), longer],
        [series('dmoerm_length_pairs_total', { namespace, ...TASK, preferred: 'shorter' }), shorter],
      ]),
    ),
    at: '3h',
    fires: [
      {
        labels: { ...BAD, ...TASK },
        summary: 'In 90% of the pairs of chat the longer response has the larger reward.',
      },
    ],
  },
  {
    alert: 'DmoermExpertsDisagree',
    // Twice as far apart from the eighth hour on; the others stay as they were, or are too few to tell.
    series: Object.fromEntries(
      [
        { ...BAD, sum: '0+10x480 4820+20x120', count: '0+20x600' },
        { ...GOOD, sum: '0+10x600', count: '0+20x600' },
        { namespace: 'few', sum: '0+1x480 482+2x120', count: '0+2x600' },
      ].flatMap(({ namespace, sum, count }) => [
        [series('dmoerm_expert_spread_sum', { namespace, ...TASK }), sum],
        [series('dmoerm_expert_spread_count', { namespace, ...TASK }), count],
      ]),
    ),
    at: '10h',
    fires: [
      {
        labels: { ...BAD, ...TASK },
        summary: 'The experts of chat disagree more than in the last week: by 1.00 standard deviations.',
      },
    ],
  },
  {
    alert: 'DmoermRevisionsDiffer',
    series: {
      'dmoerm_revision_info{namespace="bad",service="router",revision="a"}': '1x30',
      'dmoerm_revision_info{namespace="bad",service="expert",revision="b"}': '1x30',
      'dmoerm_revision_info{namespace="good",service="router",revision="a"}': '1x30',
      'dmoerm_revision_info{namespace="good",service="expert",revision="a"}': '1x30',
      'dmoerm_revision_info{namespace="good",service="expert",revision="b"}': '0x30',
    },
    at: '20m',
    fires: [{ labels: BAD, summary: '2 revisions serve at the same time.' }],
  },
  {
    alert: 'DmoermBundleRefused',
    series: {
      'dmoerm_bundles_rejected_total{namespace="bad",service="expert",outcome="DIGEST_MISMATCH"}':
        '_x20 1x20',
      'dmoerm_bundles_rejected_total{namespace="good",service="expert",outcome="DIGEST_MISMATCH"}': '1x40',
    },
    at: '30m',
    fires: [
      {
        labels: { ...BAD, service: 'expert', outcome: 'DIGEST_MISMATCH' },
        summary: 'A bundle was refused by the expert: DIGEST_MISMATCH.',
      },
    ],
  },
  {
    alert: 'DmoermRestarts',
    series: {
      [series('process_start_time_seconds', { ...PROCESS, instance: 'a' })]: '1x5 2x5 3x5 4x20',
      [series('process_start_time_seconds', { ...PROCESS, instance: 'b' })]: '1x10 2x30',
    },
    at: '25m',
    fires: [
      { labels: { ...PROCESS, instance: 'a' }, summary: 'expert at a started 3 times in half an hour.' },
    ],
  },
  {
    alert: 'DmoermDrainLong',
    series: {
      [series('dmoerm_draining', { ...PROCESS, instance: 'a' })]: '1x20',
      [series('dmoerm_draining', { ...PROCESS, instance: 'b' })]: '0x20',
    },
    at: '15m',
    fires: [{ labels: { ...PROCESS, instance: 'a' }, summary: 'expert at a drains and does not end.' }],
  },
  {
    alert: 'DmoermEventLoopLate',
    series: {
      [series('dmoerm_event_loop_lag_seconds', { ...PROCESS, instance: 'a' })]: '0.5x30',
      [series('dmoerm_event_loop_lag_seconds', { ...PROCESS, instance: 'b' })]: '0.1x30',
    },
    at: '20m',
    fires: [
      { labels: { ...PROCESS, instance: 'a' }, summary: 'The event loop of expert at a is 500ms late.' },
    ],
  },
  {
    alert: 'DmoermFilesRunOut',
    series: {
      [series('process_open_fds', { ...PROCESS, instance: 'a' })]: '900x30',
      [series('process_max_fds', { ...PROCESS, instance: 'a' })]: '1000x30',
      [series('process_open_fds', { ...PROCESS, instance: 'b' })]: '90x30',
      [series('process_max_fds', { ...PROCESS, instance: 'b' })]: '1000x30',
    },
    at: '20m',
    fires: [
      {
        labels: { ...PROCESS, instance: 'a' },
        summary: 'expert at a has 90% of its files and connections open.',
      },
    ],
  },
  {
    alert: 'DmoermTrainingStalls',
    series: {
      'dmoerm_training_progress_ratio{unit="chat/stuck"}': '0.4x60',
      'dmoerm_training_step{unit="chat/stuck"}': '80x60',
      'dmoerm_training_progress_ratio{unit="chat/busy"}': '0.4x60',
      'dmoerm_training_step{unit="chat/busy"}': '0+1x60',
      'dmoerm_training_progress_ratio{unit="chat/done"}': '1x60',
      'dmoerm_training_step{unit="chat/done"}': '200x60',
    },
    at: '50m',
    fires: [{ labels: { unit: 'chat/stuck' }, summary: 'The training of chat/stuck makes no steps at 40%.' }],
  },
  {
    alert: 'DmoermTrainingDiverges',
    series: {
      'dmoerm_training_loss{unit="chat/none"}': Array(40).fill('NaN').join(' '),
      'dmoerm_training_validation_loss{unit="chat/worse"}': '0.5x10 0.9x30',
      'dmoerm_training_loss{unit="chat/well"}': '0.5x40',
      'dmoerm_training_validation_loss{unit="chat/well"}': '0.5x10 0.6x30',
      'dmoerm_training_validation_loss{unit="chat/tiny"}': '0.01x10 0.09x30',
    },
    at: '30m',
    fires: [
      { labels: { unit: 'chat/none' }, summary: 'The loss of chat/none is NaN: it learns no more.' },
      { labels: { unit: 'chat/worse' }, summary: 'The loss of chat/worse is 0.9: it learns no more.' },
    ],
  },
];
