import { CHOSEN, type DashboardSpec, type PanelSpec } from './spec';

const OURS = `${CHOSEN},job="dmoerm",service=~"$service"`;
const EACH = '{{service}} {{instance}}';

function each(title: string, description: string, unit: string, expr: string): PanelSpec {
  return { title, description, kind: 'lines', unit, width: 8, queries: [{ expr, legend: EACH }] };
}

/** What processes use of what they have. */
export const SATURATION: DashboardSpec = {
  uid: 'dmoerm-saturation',
  title: 'dmoerm / Saturation',
  description: 'What processes use of what they have: processors, memory, event loop, files.',
  choices: [{ label: 'service', metric: 'dmoerm_inflight_requests' }],
  rows: [
    {
      title: 'Work',
      panels: [
        each(
          'Calls in flight',
          'Calls that have arrived and have no status yet.',
          'short',
          `dmoerm_inflight_requests{${CHOSEN},service=~"$service"}`,
        ),
        each(
          'Processor',
          'Cores in use. Experts use all that they have whenever there is work.',
          'short',
          `rate(process_cpu_seconds_total{${OURS}}[$__rate_interval])`,
        ),
        each(
          'Lag of the event loop',
          '99th percentile since the last scrape; answers, health and deadlines are late by so much (DmoermEventLoopLate).',
          's',
          `dmoerm_event_loop_lag_seconds{${CHOSEN},service=~"$service"}`,
        ),
      ],
    },
    {
      title: 'Memory',
      panels: [
        each(
          'Resident memory',
          'With the weights, which the engine holds outside of the heap.',
          'bytes',
          `process_resident_memory_bytes{${OURS}}`,
        ),
        each('Heap', 'JavaScript objects.', 'bytes', `nodejs_heap_size_used_bytes{${OURS}}`),
        each(
          'Time in garbage collection',
          'Share of the time; it is part of the lag.',
          'percentunit',
          `sum by (service, instance) (rate(nodejs_gc_duration_seconds_sum{${OURS}}[$__rate_interval]))`,
        ),
      ],
    },
    {
      title: 'Files and connections',
      panels: [
        each(
          'Open files',
          'Share of what the process may have; connections are files (DmoermFilesRunOut).',
          'percentunit',
          `process_open_fds{${OURS}} / process_max_fds{${OURS}}`,
        ),
        each(
          'Sockets, timers and other handles',
          'What the event loop waits for; it grows where something is not closed.',
          'short',
          `nodejs_active_resources_total{${OURS}}`,
        ),
        each('Answers to Prometheus', '1: its page was read.', 'short', 'up{job="dmoerm"}'),
      ],
    },
  ],
};
