import { CHOSEN, type DashboardSpec } from './spec';

const EXPERT = 'task=~"$task",capability=~"$capability"';
const SCORES = 'dmoerm_capability_score';

/** What the experts say, and whether they still say it as they did. */
export const EXPERTS: DashboardSpec = {
  uid: 'dmoerm-experts',
  title: 'dmoerm / Experts and drift',
  description:
    'Scores of the capability experts, in standard deviations of what they gave when the aggregator was trained. Drift means that policies, prompts or the model have changed: over-optimisation shows here first.',
  choices: [
    { label: 'task', metric: `${SCORES}_count` },
    { label: 'capability', metric: `${SCORES}_count` },
  ],
  rows: [
    {
      title: 'Drift',
      panels: [
        {
          title: 'Distance from the last week',
          description:
            'Kolmogorov-Smirnov distance between the scores of the last hour and of the last week; above 0.2 something has changed (DmoermScoresDrift).',
          kind: 'lines',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `task_capability:dmoerm_capability_score:distance7d{${CHOSEN},${EXPERT}}`,
              legend: '{{task}}/{{capability}}',
            },
          ],
        },
        {
          title: 'Mean score',
          description:
            'Of the last hour. A policy that climbs on one capability while others fall is being over-optimised.',
          kind: 'lines',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `task_capability:dmoerm_capability_score:mean1h{${CHOSEN},${EXPERT}}`,
              legend: '{{task}}/{{capability}}',
            },
          ],
        },
        {
          title: 'Scores beyond two standard deviations',
          description: 'Share of the scores that training saw rarely: about 5 % where nothing has changed.',
          kind: 'lines',
          unit: 'percentunit',
          width: 12,
          queries: [
            {
              expr:
                `1 - sum by (task, capability) (task_capability_le:${SCORES}:share1h{${CHOSEN},${EXPERT},le=~"2|2.0"})` +
                ` + sum by (task, capability) (task_capability_le:${SCORES}:share1h{${CHOSEN},${EXPERT},le=~"-2|-2.0"})`,
              legend: '{{task}}/{{capability}}',
            },
          ],
        },
        {
          title: 'Scores of the last hour',
          description: 'How many scores there are to tell drift from noise: at least 1,000.',
          kind: 'lines',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `task_capability:dmoerm_capability_score:count1h{${CHOSEN},${EXPERT}}`,
              legend: '{{task}}/{{capability}}',
            },
          ],
        },
        {
          title: 'Distribution of scores',
          description: 'Scores a second by their value; choose one capability.',
          kind: 'heatmap',
          unit: 'short',
          width: 24,
          queries: [
            {
              expr: `sum by (le) (rate(${SCORES}_bucket{${CHOSEN},${EXPERT}}[$__rate_interval]))`,
              legend: '{{le}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Over-optimisation',
      panels: [
        {
          title: 'Inflation',
          description:
            'Mean of all capabilities in the last hour, in standard deviations above the validation pairs (DmoermScoresInflated above 1). A policy that gets better raises it; one that raises this alone pleases the model, not people.',
          kind: 'lines',
          unit: 'short',
          width: 8,
          queries: [
            {
              expr: `task:dmoerm_capability_score:inflation1h{${CHOSEN},task=~"$task"}`,
              legend: '{{task}}',
            },
          ],
        },
        {
          title: 'Disagreement of the experts',
          description:
            'Mean standard deviation over the experts of a candidate. It grows where responses leave what the experts were trained on (DmoermExpertsDisagree: half more than in the last week).',
          kind: 'lines',
          unit: 'short',
          width: 8,
          queries: [
            { expr: `task:dmoerm_expert_spread:mean1h{${CHOSEN},task=~"$task"}`, legend: '{{task}}' },
          ],
        },
        {
          title: 'The longer response wins',
          description:
            'Share of pairs of candidates in which the longer one has the larger reward (DmoermLongerWins above 80 %); human labels are at 50 to 65 %.',
          kind: 'lines',
          unit: 'percentunit',
          width: 8,
          queries: [
            { expr: `task:dmoerm_length_pairs:longer1h{${CHOSEN},task=~"$task"}`, legend: '{{task}}' },
          ],
        },
      ],
    },
    {
      title: 'What is wrong',
      panels: [
        {
          title: 'Degraded rewards',
          description:
            'Rewards a second from a lesser rule, since a part of the model was missing (DmoermRewardsDegraded).',
          kind: 'stacked',
          unit: 'cps',
          width: 12,
          queries: [
            {
              expr: `sum by (task, stage) (rate(dmoerm_degraded_total{${CHOSEN},task=~"$task"}[$__rate_interval]))`,
              legend: '{{task}} without the {{stage}}',
            },
          ],
        },
        {
          title: 'Not finite',
          description: 'Candidates that were refused because a value was NaN or infinite (DmoermNotFinite).',
          kind: 'stacked',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `sum by (task, stage) (dmoerm_nonfinite_total{${CHOSEN},task=~"$task"})`,
              legend: '{{task}} in the {{stage}}',
            },
          ],
        },
      ],
    },
  ],
};
