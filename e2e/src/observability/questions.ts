import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';

const OBSERVABILITY = resolve(__dirname, '..', '..', '..', 'deploy', 'observability');
/** The rules as they are shipped. */
export const RULES = join(OBSERVABILITY, 'rules.yaml');
/** The collector's configuration as it is shipped. */
export const COLLECTOR = join(OBSERVABILITY, 'collector.yaml');

/** What a dashboard asks. */
export interface Question {
  readonly where: string;
  readonly expr: string;
}

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** Every query of every panel of the dashboards that are shipped, with all values of all variables chosen. */
export function panelQueries(): Question[] {
  const folder = join(OBSERVABILITY, 'dashboards');
  return readdirSync(folder).flatMap((file) => {
    const { title, panels } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
      title: string;
      panels: readonly Panel[];
    };
    return panels.flatMap((panel) =>
      (panel.targets ?? []).map(({ expr }) => ({ where: `${title}: ${panel.title}`, expr: chooseAll(expr) })),
    );
  });
}

/** Names of the series that rules record, and of the alerts. */
export function ruleNames(): { readonly recorded: string[]; readonly alerts: string[] } {
  const { groups } = parse(readFileSync(RULES, 'utf8')) as {
    groups: readonly { readonly rules: readonly { readonly record?: string; readonly alert?: string }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  return {
    recorded: rules.flatMap(({ record }) => record ?? []),
    alerts: rules.flatMap(({ alert }) => alert ?? []),
  };
}

/** As Grafana fills it in: a rate over four scrapes, of a minute each at the least, and every value of a label. */
function chooseAll(expr: string): string {
  return expr
    .replaceAll('$__rate_interval', '1m')
    .replace(/\$(namespace|task|capability|service|unit)\b/g, '.*');
}
