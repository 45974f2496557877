import type { Candidate } from '../api';

/** Numbers of experts: a row per capability, a column per response that has a reward. */
export interface CapabilityTable {
  /** Places of the responses. */
  readonly columns: readonly number[];
  /** In the order of the experts; null where a response has no number of this capability. */
  readonly rows: readonly { readonly capability: string; readonly values: readonly (number | null)[] }[];
}

/** The table of an answer's candidates. */
export function toTable(
  candidates: readonly Candidate[],
  measure: 'score' | 'contribution',
): CapabilityTable {
  const scored = candidates.flatMap((one, i) =>
    'error' in one ? [] : [{ i, capabilities: one.capabilities }],
  );
  const names = new Set(scored.flatMap(({ capabilities }) => capabilities.map(({ name }) => name)));
  return {
    columns: scored.map(({ i }) => i),
    rows: [...names].map((capability) => ({
      capability,
      values: scored.map(
        ({ capabilities }) => capabilities.find(({ name }) => name === capability)?.[measure] ?? null,
      ),
    })),
  };
}
