import { DmoermError } from '@dmoerm/core';
import * as fc from 'fast-check';
import { toRecord } from './record';
import type { ItemResult } from './types';

describe('a record of output', () => {
  const scored = (reward: number): ItemResult => ({
    type: 'scored',
    revision: 'f'.repeat(64),
    route: {
      task: 'chat',
      probability: 0.75,
      distribution: [
        { task: 'chat', probability: 0.75 },
        { task: 'objective_qa', probability: 0.25 },
      ],
      fallback: false,
    },
    candidates: [
      {
        type: 'score',
        reward,
        capabilities: [{ name: 'helpfulness', score: 1.5, contribution: 0.25 }],
        uncertainty: { heads: 0.5, experts: 0.125 },
        tokenCount: 12,
        truncated: false,
        degraded: false,
      },
      {
        type: 'error',
        error: new DmoermError({
          code: 'INVALID_ARGUMENT',
          reason: 'EMPTY_CANDIDATE',
          field: 'candidates[1]',
          message: 'the candidate is empty',
        }),
      },
    ],
    timingsNs: { queue: 1, engine: 2, aggregate: 3, total: 7 },
  });

  it('has the names that scripts stand on, and no number for a candidate that failed', () => {
    expect(toRecord('a1', scored(0.5))).toEqual({
      id: 'a1',
      revision: 'f'.repeat(64),
      route: {
        task: 'chat',
        probability: 0.75,
        distribution: { chat: 0.75, objective_qa: 0.25 },
        fallback: false,
      },
      candidates: [
        {
          reward: 0.5,
          capabilities: [{ name: 'helpfulness', score: 1.5, contribution: 0.25 }],
          uncertainty: { heads: 0.5, experts: 0.125 },
          token_count: 12,
          truncated: false,
          degraded: false,
        },
        {
          error: {
            code: 'INVALID_ARGUMENT',
            reason: 'EMPTY_CANDIDATE',
            field: 'candidates[1]',
            message: 'the candidate is empty',
          },
        },
      ],
      timings_ns: { queue: 1, engine: 2, aggregate: 3, total: 7 },
    });
  });

  it('reads back to the same bits', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (reward) => {
        const text = JSON.stringify(toRecord('a1', scored(reward)));
        const [first] = (JSON.parse(text) as { candidates: { reward: number }[] }).candidates;
        // JSON has no -0; it compares equal to 0.
        expect(first?.reward === reward).toBe(true);
      }),
    );
  });
});
