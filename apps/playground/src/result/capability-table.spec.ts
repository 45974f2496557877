import { toTable } from './capability-table';

describe('toTable', () => {
  const score = (names: readonly string[]) => ({
    reward: 1,
    capabilities: names.map((name, k) => ({ name, score: k, contribution: -k })),
    uncertainty: { experts: 0, heads: 0 },
    token_count: 1,
    truncated: false,
    degraded: false,
  });
  const failed = {
    error: { code: 'INVALID_ARGUMENT', reason: 'EMPTY', message: 'empty', field: null },
  } as const;

  it('has a column for each response with a reward, and no number where an expert said nothing', () => {
    expect(toTable([score(['a', 'b']), failed, score(['b'])], 'score')).toEqual({
      columns: [0, 2],
      rows: [
        { capability: 'a', values: [0, null] },
        { capability: 'b', values: [1, 0] },
      ],
    });
    expect(toTable([score(['a', 'b'])], 'contribution').rows[1]?.values).toEqual([-1]);
  });
});
