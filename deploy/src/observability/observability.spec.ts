import { existsSync, readFileSync } from 'node:fs';
import { METRICS } from '@dmoerm/telemetry';
import { unknownNames } from './check-names';
import { DASHBOARDS } from './dashboards';
import { buildDashboard } from './dashboards/build';
import { generatedFiles } from './generated';
import { readPromql } from './read-promql';
import { ALERT_RULES } from './rules/alerts';
import { RECORDING_RULES } from './rules/recording';
import { alertNames, vocabulary, type Vocabulary } from './vocabulary';

const panels = DASHBOARDS.flatMap(({ uid, rows }) =>
  rows.flatMap((row) => row.panels.map((panel) => ({ where: `${uid}: ${panel.title}`, panel }))),
);
const queries: [string, string][] = [
  ...panels.flatMap(({ where, panel }) => panel.queries.map(({ expr }): [string, string] => [where, expr])),
  ...RECORDING_RULES.flatMap(({ rules }) =>
    rules.map(({ record, expr }): [string, string] => [record, expr]),
  ),
  ...ALERT_RULES.flatMap(({ rules }) => rules.map(({ alert, expr }): [string, string] => [alert, expr])),
];

let known: Vocabulary;
beforeAll(async () => {
  known = await vocabulary();
});

describe('dashboards and rules', () => {
  it.each([...generatedFiles()])('%s is current (npm run render -w deploy)', (path, text) => {
    expect(existsSync(path) ? readFileSync(path, 'utf8') : null).toBe(text);
  });

  it.each(queries)('%s names metrics and labels that are there', (_, expr) => {
    expect(unknownNames(expr, known)).toEqual([]);
  });

  it.each([
    ['metric dmoerm_queue_tokns', 'sum(dmoerm_queue_tokns)'],
    ['label tsk of dmoerm_queue_tokens', 'dmoerm_queue_tokens{tsk="chat"}'],
    ['label le of dmoerm_batch_items_sum', 'rate(dmoerm_batch_items_sum{le="1"}[5m])'],
    ['label capability', 'sum by (capability) (dmoerm_queue_tokens)'],
    ['label peer', 'up / ignoring (peer) up'],
    ['metric dmoerm_batch_items', 'dmoerm_batch_items'],
  ])('a query that names no known %s is found', (name, expr) => {
    expect(unknownNames(expr, known)).toContain(name);
  });

  it('what is no query is found', () => {
    expect(() => readPromql('sum(rate(up[5m])')).toThrow(/no PromQL/);
  });

  it('show every metric that is declared', () => {
    const shown = new Set(
      queries.flatMap(([, expr]) => readPromql(expr).selectors.map(({ metric }) => metric)),
    );
    const hidden = Object.values(METRICS)
      .map(({ name }) => name)
      .filter((name) => !['', '_bucket', '_sum', '_count'].some((part) => shown.has(`${name}${part}`)));
    expect(hidden).toEqual([]);
  });
});

describe('dashboards', () => {
  it.each(DASHBOARDS)('$uid stands in any Grafana from version 11 on', (spec) => {
    const { id, uid, schemaVersion, panels: built = [], templating } = buildDashboard(spec);
    expect({ id, uid }).toEqual({ id: undefined, uid: spec.uid });
    expect(schemaVersion).toBeGreaterThanOrEqual(39);
    expect(templating.list?.map(({ name }) => name).slice(0, 2)).toEqual(['datasource', 'namespace']);
    for (const panel of built)
      if (panel.type !== 'row')
        expect(panel).toMatchObject({
          datasource: { uid: '${datasource}' },
          description: expect.stringMatching(/\.$/),
        });
  });

  it('are told apart', () => {
    expect(new Set(DASHBOARDS.map(({ uid }) => uid)).size).toBe(DASHBOARDS.length);
    expect(new Set(panels.map(({ where }) => where)).size).toBe(panels.length);
  });

  it('fill whole rows', () => {
    for (const { rows } of DASHBOARDS)
      for (const { panels: own } of rows) expect(own.reduce((sum, { width }) => sum + width, 0) % 24).toBe(0);
  });

  it('speak of alerts that are there', () => {
    const named = panels.flatMap(({ panel }) => panel.description.match(/\bDmoerm\w+/g) ?? []);
    expect(named.length).toBeGreaterThan(5);
    for (const name of named) expect(alertNames()).toContain(name);
  });
});
