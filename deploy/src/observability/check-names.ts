import { readPromql } from './read-promql';
import { TARGET_LABELS, type Vocabulary } from './vocabulary';

/** What a query names that is not there: metrics, labels that its metrics do not have. One line each. */
export function unknownNames(query: string, known: Vocabulary): string[] {
  const { selectors, groupings } = readPromql(query);
  const of = (metric: string): ReadonlySet<string> => known.get(metric) ?? new Set();
  const all = new Set(selectors.flatMap(({ metric }) => [...of(metric)]));
  return [
    ...selectors.filter(({ metric }) => !known.has(metric)).map(({ metric }) => `metric ${metric}`),
    ...selectors.flatMap(({ metric, labels }) =>
      labels
        .filter((label) => known.has(metric) && !of(metric).has(label) && !TARGET_LABELS.includes(label))
        .map((label) => `label ${label} of ${metric}`),
    ),
    ...groupings
      .filter((label) => !all.has(label) && !TARGET_LABELS.includes(label))
      .map((label) => `label ${label}`),
  ];
}
