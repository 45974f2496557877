/** How a panel draws its queries. */
export type PanelKind = 'lines' | 'stacked' | 'stat' | 'heatmap' | 'table';

/** A question to Prometheus, and what its series are called. */
export interface Query {
  readonly expr: string;
  /** Grafana's template, e.g. `{{task}}`. */
  readonly legend: string;
}

/** A panel. */
export interface PanelSpec {
  readonly title: string;
  /** What it tells, and when to worry. */
  readonly description: string;
  readonly kind: PanelKind;
  /** Of Grafana: `s`, `percentunit`, `reqps`, `bytes`, `short` ... */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Of a row of 24. */
  readonly width: 4 | 6 | 8 | 12 | 24;
  /** Whether points lead to traces. */
  readonly exemplars?: boolean;
}

/** A dashboard. */
export interface DashboardSpec {
  /** Stays the same for ever: links and bookmarks stand on it. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  /** Labels that can be chosen, beyond the namespace; each with a metric that has it. */
  readonly choices: readonly { readonly label: string; readonly metric: string }[];
  readonly rows: readonly { readonly title: string; readonly panels: readonly PanelSpec[] }[];
}

/** Matches the chosen namespaces; where there are none, as on one machine, series without the label. */
export const CHOSEN = 'namespace=~"$namespace"';
