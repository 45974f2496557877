import { CHOSEN, type DashboardSpec, type Query } from './spec';

const TASK = 'task=~"$task"';

/** Quantiles over the chosen tasks together. */
const quantiles = (metric: string): Query[] =>
  [0.5, 0.95, 0.99].map((q) => ({
    expr: `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket{${CHOSEN},${TASK}}[$__rate_interval])))`,
    legend: `p${100 * q}`,
  }));

/** What waits, what is refused, and how full batches are. */
export const WORK: DashboardSpec = {
  uid: 'dmoerm-work',
  title: 'dmoerm / Queue and batches',
  description:
    'What waits for the engine, what is refused or expires, how full batches are, and how long they take.',
  choices: [{ label: 'task', metric: 'dmoerm_queue_tokens' }],
  rows: [
    {
      title: 'Queue',
      panels: [
        {
          title: 'Tokens that wait',
          description: 'The scaling signal: more than a few batches of them means too few replicas.',
          kind: 'stacked',
          unit: 'short',
          width: 8,
          queries: [{ expr: `sum by (task) (dmoerm_queue_tokens{${CHOSEN},${TASK}})`, legend: '{{task}}' }],
        },
        {
          title: 'Items that wait',
          description: 'Items that have been admitted and are in no batch yet.',
          kind: 'stacked',
          unit: 'short',
          width: 8,
          queries: [{ expr: `sum by (task) (dmoerm_queue_items{${CHOSEN},${TASK}})`, legend: '{{task}}' }],
        },
        {
          title: 'Wait',
          description: 'From admission to the start of the batch.',
          kind: 'lines',
          unit: 's',
          width: 8,
          queries: quantiles('dmoerm_queue_wait_seconds'),
        },
        {
          title: 'Slowest wait by task',
          description: '1 of 20 items waits longer (DmoermQueueWaitLong).',
          kind: 'lines',
          unit: 's',
          width: 8,
          queries: [{ expr: `task:dmoerm_queue_wait_seconds:p95{${CHOSEN},${TASK}}`, legend: '{{task}}' }],
        },
        {
          title: 'Refused',
          description:
            'Items a second that are refused at admission. QUEUE_FULL: too much waits; QUOTA_EXCEEDED: a caller has had its share.',
          kind: 'stacked',
          unit: 'cps',
          width: 8,
          queries: [
            {
              expr: `sum by (reason) (rate(dmoerm_shed_total{${CHOSEN}}[$__rate_interval]))`,
              legend: '{{reason}}',
            },
          ],
        },
        {
          title: 'Expired',
          description:
            'Items a second that were dropped before the forward pass: nobody waits for them any more.',
          kind: 'stacked',
          unit: 'cps',
          width: 8,
          queries: [
            {
              expr: `sum by (reason) (rate(dmoerm_queue_expired_total{${CHOSEN},${TASK}}[$__rate_interval]))`,
              legend: '{{reason}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Batches',
      panels: [
        {
          title: 'Tokens a second',
          description: 'What the engines compute.',
          kind: 'stacked',
          unit: 'short',
          width: 8,
          queries: [{ expr: `task:dmoerm_tokens:rate5m{${CHOSEN},${TASK}}`, legend: '{{task}}' }],
        },
        {
          title: 'Items of a batch',
          description:
            'Items of a task in a batch: small ones under load mean that the token budget is too small.',
          kind: 'lines',
          unit: 'short',
          width: 8,
          queries: quantiles('dmoerm_batch_items'),
        },
        {
          title: 'Tokens of a batch',
          description: 'Tokens of a task in a batch.',
          kind: 'lines',
          unit: 'short',
          width: 8,
          queries: quantiles('dmoerm_batch_tokens'),
        },
        {
          title: 'Batches a second',
          description: 'Forward passes, by the engine’s back end.',
          kind: 'stacked',
          unit: 'ops',
          width: 8,
          queries: [
            {
              expr: `sum by (backend) (rate(dmoerm_forward_duration_seconds_count{${CHOSEN},${TASK}}[$__rate_interval]))`,
              legend: '{{backend}}',
            },
          ],
        },
        {
          title: 'Time in the engine',
          description: 'Of a batch that held items of the chosen tasks.',
          kind: 'lines',
          unit: 's',
          width: 8,
          queries: quantiles('dmoerm_forward_duration_seconds'),
        },
        {
          title: 'Slowest batches',
          description: '1 of 20 batches takes longer.',
          kind: 'lines',
          unit: 's',
          width: 8,
          queries: [
            {
              expr: `task_backend:dmoerm_forward_duration_seconds:p95{${CHOSEN},${TASK}}`,
              legend: '{{task}} {{backend}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Replicas',
      panels: [
        {
          title: 'Attempts',
          description: 'Attempts a second that routers make at replicas, by how they ended.',
          kind: 'stacked',
          unit: 'cps',
          width: 8,
          queries: [
            {
              expr: `sum by (peer, outcome) (rate(dmoerm_attempts_total{${CHOSEN}}[$__rate_interval]))`,
              legend: '{{peer}} {{outcome}}',
            },
          ],
        },
        {
          title: 'Failed attempts',
          description:
            'Share of the attempts that failed; each is made again elsewhere (DmoermReplicasFail).',
          kind: 'lines',
          unit: 'percentunit',
          width: 8,
          queries: [{ expr: `peer:dmoerm_attempt_faults:ratio_rate5m{${CHOSEN}}`, legend: '{{peer}}' }],
        },
        {
          title: 'Second attempts',
          description:
            'Share of the attempts that were made because the first was late (DmoermReplicasLate).',
          kind: 'lines',
          unit: 'percentunit',
          width: 8,
          queries: [{ expr: `peer:dmoerm_hedges:ratio_rate5m{${CHOSEN}}`, legend: '{{peer}}' }],
        },
      ],
    },
  ],
};
