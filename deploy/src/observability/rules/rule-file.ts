import { stringify } from 'yaml';
import { ALERT_RULES } from './alerts';
import { RECORDING_RULES } from './recording';
import type { AlertRule } from './rule';

/** Where the operator's guide has a section per alert; the chart puts another address in its place. */
export const RUNBOOKS = 'docs/operations.md';

/** The anchor of an alert's section: headings become anchors in lower case. */
export function runbookUrl(alert: string): string {
  return `${RUNBOOKS}#${alert.toLowerCase()}`;
}

/** All rules as Prometheus reads them, in a file or as the spec of a PrometheusRule. */
export function ruleFile(): string {
  const groups = [
    ...RECORDING_RULES,
    ...ALERT_RULES.map(({ name, rules }) => ({ name, rules: rules.map(toAlert) })),
  ];
  const head =
    '# Generated from deploy/src/observability/rules by `npm run render -w deploy`; do not edit.\n';
  return head + stringify({ groups }, { lineWidth: 0 });
}

function toAlert({ alert, expr, for: held, severity, summary }: AlertRule): object {
  return {
    alert,
    expr,
    ...(held === '0s' ? {} : { for: held }),
    labels: { severity },
    annotations: { summary, runbook_url: runbookUrl(alert) },
  };
}
