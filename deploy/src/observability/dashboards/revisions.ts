import { CHOSEN, type DashboardSpec } from './spec';

/** Which model serves where, and how it got there. */
export const REVISIONS: DashboardSpec = {
  uid: 'dmoerm-revisions',
  title: 'dmoerm / Revisions',
  description: 'Which revision serves where; swaps, refused bundles, starts and drains of processes.',
  choices: [],
  rows: [
    {
      title: 'Revisions',
      panels: [
        {
          title: 'Processes by revision',
          description:
            'More than one line of a service for longer than a swap: it stuck halfway (DmoermRevisionsDiffer).',
          kind: 'stacked',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `count by (service, revision) (dmoerm_revision_info{${CHOSEN}} == 1)`,
              legend: '{{service}} {{revision}}',
            },
          ],
        },
        {
          title: 'Now',
          description: 'The revision that each process serves by default.',
          kind: 'table',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `max by (namespace, service, instance, revision) (dmoerm_revision_info{${CHOSEN}} == 1)`,
              legend: '',
            },
          ],
        },
        {
          title: 'Swaps',
          description: 'Activations of a bundle, by outcome.',
          kind: 'lines',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `sum by (service, outcome) (dmoerm_swaps_total{${CHOSEN}})`,
              legend: '{{service}} {{outcome}}',
            },
          ],
        },
        {
          title: 'Refused bundles',
          description: 'Bundles that did not pass verification, by what was wrong (DmoermBundleRefused).',
          kind: 'lines',
          unit: 'short',
          width: 12,
          queries: [
            {
              expr: `sum by (service, outcome) (dmoerm_bundles_rejected_total{${CHOSEN}})`,
              legend: '{{service}} {{outcome}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Processes',
      panels: [
        {
          title: 'Age',
          description: 'Time since each process started; saw teeth are restarts (DmoermRestarts).',
          kind: 'lines',
          unit: 's',
          width: 12,
          queries: [
            {
              expr: `time() - process_start_time_seconds{${CHOSEN},job="dmoerm"}`,
              legend: '{{service}} {{instance}}',
            },
          ],
        },
        {
          title: 'Draining',
          description: 'Processes that finish what they have and take nothing new.',
          kind: 'stacked',
          unit: 'short',
          width: 12,
          queries: [{ expr: `sum by (service) (dmoerm_draining{${CHOSEN}})`, legend: '{{service}}' }],
        },
      ],
    },
  ],
};
