/** A series that Prometheus computes and keeps, named `labels:metric:operation`. */
export interface RecordingRule {
  readonly record: string;
  readonly expr: string;
}

/** A condition that somebody is told of. */
export interface AlertRule {
  readonly alert: string;
  /** Has samples where the condition holds. */
  readonly expr: string;
  /** How long it must hold, e.g. `5m`; 0s: at once. */
  readonly for: string;
  /** `critical`: wake somebody; `warning`: look at it in working hours. */
  readonly severity: 'critical' | 'warning';
  /** One sentence, a template of Prometheus. */
  readonly summary: string;
}

/** Rules that are evaluated together, in order. */
export interface RuleGroup<R> {
  readonly name: string;
  readonly rules: readonly R[];
}
