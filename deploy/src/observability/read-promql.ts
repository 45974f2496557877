import { parser } from '@prometheus-io/lezer-promql';

/** What a query names. */
export interface QueryNames {
  /** Metrics, with the labels that they are asked for. */
  readonly selectors: readonly { readonly metric: string; readonly labels: readonly string[] }[];
  /** Labels to group by, to match on, to keep or to drop. */
  readonly groupings: readonly string[];
}

/**
 * Reads a query of Prometheus; Grafana's variables stand where a query may have a duration or text.
 * @throws Error that shows where it is none.
 */
export function readPromql(query: string): QueryNames {
  const text = query.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h');
  const selectors: { metric: string; labels: string[] }[] = [];
  const groupings: string[] = [];
  const open: { metric: string; labels: string[] }[] = [];
  parser.parse(text).iterate({
    enter: ({ type, from, to, node }) => {
      const own = text.slice(from, to);
      if (type.isError)
        throw new Error(`no PromQL after "${text.slice(Math.max(0, from - 40), from)}": ${query}`);
      if (type.name === 'VectorSelector') open.push({ metric: '', labels: [] });
      const selector = open.at(-1);
      if (type.name === 'Identifier' && node.parent?.name === 'VectorSelector' && selector)
        selector.metric = own;
      if (type.name !== 'LabelName') return;
      if (node.parent?.name === 'GroupingLabels') groupings.push(own);
      else selector?.labels.push(own);
    },
    leave: ({ type }) => {
      if (type.name !== 'VectorSelector') return;
      const done = open.pop();
      if (done !== undefined) selectors.push(done);
    },
  });
  return { selectors, groupings };
}
