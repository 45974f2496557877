import { ERROR_BUDGET } from '../rules/alerts';
import { PUBLIC_CALLS } from '../rules/promql';
import { CHOSEN, type DashboardSpec } from './spec';

/** Rate, errors, durations: what callers see, and where on the way it comes from. */
export const RED: DashboardSpec = {
  uid: 'dmoerm-red',
  title: 'dmoerm / Calls',
  description: 'Rate, errors and durations of calls: what trainers see, then each hop.',
  choices: [],
  rows: [
    {
      title: 'Trainers',
      panels: [
        {
          title: 'Calls',
          description: 'Calls a second that trainers make.',
          kind: 'stat',
          unit: 'reqps',
          width: 6,
          queries: [
            {
              expr: `sum(service_method_code:dmoerm_requests:rate5m{${CHOSEN},${PUBLIC_CALLS}})`,
              legend: 'calls',
            },
          ],
        },
        {
          title: 'Faults',
          description: 'Share of the calls of the last hour that failed through no fault of their caller.',
          kind: 'stat',
          unit: 'percentunit',
          width: 6,
          queries: [{ expr: `max(namespace:dmoerm_call_faults:ratio_rate1h{${CHOSEN}})`, legend: 'faults' }],
        },
        {
          title: 'Error budget',
          description:
            'Speed at which the month’s error budget is used: 1 lasts a month; 14.4 wakes somebody (DmoermErrorBudgetBurnsFast).',
          kind: 'stat',
          unit: 'short',
          width: 6,
          queries: [
            {
              expr: `max(namespace:dmoerm_call_faults:ratio_rate1h{${CHOSEN}}) / ${ERROR_BUDGET}`,
              legend: 'times the budget',
            },
          ],
        },
        {
          title: 'p99',
          description: 'Slowest 1 % of the calls of the last five minutes.',
          kind: 'stat',
          unit: 's',
          width: 6,
          queries: [
            {
              expr: `max(service_method:dmoerm_request_duration_seconds:p99{${CHOSEN},${PUBLIC_CALLS}})`,
              legend: 'p99',
            },
          ],
        },
        {
          title: 'Rate by method',
          description: 'Calls a second.',
          kind: 'stacked',
          unit: 'reqps',
          width: 12,
          queries: [
            {
              expr: `sum by (method) (service_method_code:dmoerm_requests:rate5m{${CHOSEN},${PUBLIC_CALLS}})`,
              legend: '{{method}}',
            },
          ],
        },
        {
          title: 'Calls without an answer, by status',
          description:
            'Calls a second that ended otherwise than OK. RESOURCE_EXHAUSTED: refused, see the queue; INVALID_ARGUMENT: the caller is at fault.',
          kind: 'stacked',
          unit: 'reqps',
          width: 12,
          queries: [
            {
              expr: `sum by (code) (service_method_code:dmoerm_requests:rate5m{${CHOSEN},${PUBLIC_CALLS},code!="OK"})`,
              legend: '{{code}}',
            },
          ],
        },
        {
          title: 'Durations',
          description: 'From arrival to status. Points are sampled calls: they lead to their traces.',
          kind: 'lines',
          unit: 's',
          width: 12,
          exemplars: true,
          queries: [0.5, 0.9, 0.99].map((q) => ({
            expr: `histogram_quantile(${q}, sum by (le) (rate(dmoerm_request_duration_seconds_bucket{${CHOSEN},${PUBLIC_CALLS}}[$__rate_interval])))`,
            legend: `p${100 * q}`,
          })),
        },
        {
          title: 'Distribution of durations',
          description: 'Calls a second by their duration.',
          kind: 'heatmap',
          unit: 's',
          width: 12,
          queries: [
            {
              expr: `sum by (le) (rate(dmoerm_request_duration_seconds_bucket{${CHOSEN},${PUBLIC_CALLS}}[$__rate_interval]))`,
              legend: '{{le}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Candidates',
      panels: [
        {
          title: 'Rewards',
          description: 'Candidates a second that got a reward.',
          kind: 'stacked',
          unit: 'cps',
          width: 12,
          queries: [
            {
              expr: `sum by (task) (rate(dmoerm_candidates_total{${CHOSEN}}[$__rate_interval]))`,
              legend: '{{task}}',
            },
          ],
        },
        {
          title: 'Errors',
          description: 'Candidates a second that got an error in the place of a reward, by its reason.',
          kind: 'stacked',
          unit: 'cps',
          width: 12,
          queries: [
            {
              expr: `sum by (reason) (rate(dmoerm_candidate_errors_total{${CHOSEN}}[$__rate_interval]))`,
              legend: '{{reason}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Hops',
      panels: [
        {
          title: 'Rate by service',
          description: 'Calls a second that each service gets.',
          kind: 'lines',
          unit: 'reqps',
          width: 8,
          queries: [
            {
              expr: `sum by (service) (service_method_code:dmoerm_requests:rate5m{${CHOSEN}})`,
              legend: '{{service}}',
            },
          ],
        },
        {
          title: 'Errors by service',
          description: 'Share of the calls that ended otherwise than OK, cancelled ones aside.',
          kind: 'lines',
          unit: 'percentunit',
          width: 8,
          queries: [
            {
              expr: `sum by (service) (service_method_code:dmoerm_requests:rate5m{${CHOSEN},code!~"OK|CANCELLED"}) / sum by (service) (service_method_code:dmoerm_requests:rate5m{${CHOSEN}})`,
              legend: '{{service}}',
            },
          ],
        },
        {
          title: 'p99 by service',
          description: 'Where the time goes: an expert includes its queue and the engine.',
          kind: 'lines',
          unit: 's',
          width: 8,
          queries: [
            {
              expr: `max by (service) (service_method:dmoerm_request_duration_seconds:p99{${CHOSEN}})`,
              legend: '{{service}}',
            },
          ],
        },
      ],
    },
  ],
};
