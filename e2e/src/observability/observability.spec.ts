import { CONDITIONS, NOT_MADE } from './conditions';
import { readTraces } from './otlp-json';
import { panelQueries, ruleNames } from './questions';

it('every alert is made to fire, or it is said why not', () => {
  const made = CONDITIONS.flatMap(({ alerts }) => alerts);
  expect([...made, ...Object.keys(NOT_MADE)].sort()).toEqual(ruleNames().alerts.sort());
});

it('questions of panels are complete: Prometheus knows none of Grafana’s variables', () => {
  const queries = panelQueries();
  expect(queries.length).toBeGreaterThan(50);
  for (const { expr } of queries) expect(expr).not.toContain('$');
});

it('spans in the JSON of OTLP are read with numbers as numbers and links with what they carry', () => {
  const attribute = (key: string, value: object) => ({ key, value });
  const span = {
    traceId: 'aa',
    spanId: 'b1',
    parentSpanId: 'b0',
    name: 'queue',
    kind: 1,
    attributes: [
      attribute('dmoerm.batch.size', { intValue: '4' }),
      attribute('dmoerm.queue.wait_ms', { doubleValue: 0.5 }),
    ],
    links: [{ spanId: 'c1', flags: 257, attributes: [attribute('dmoerm.batch.size', { intValue: 2 })] }],
  };
  const resource = { attributes: [attribute('service.name', { stringValue: 'expert' })] };
  expect(readTraces({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] })).toEqual([
    {
      service: 'expert',
      traceId: 'aa',
      spanId: 'b1',
      parentId: 'b0',
      name: 'queue',
      kind: 1,
      attributes: { 'dmoerm.batch.size': 4, 'dmoerm.queue.wait_ms': 0.5 },
      links: [{ spanId: 'c1', isSampled: true, attributes: { 'dmoerm.batch.size': 2 } }],
    },
  ]);
});
