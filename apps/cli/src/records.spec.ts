import type { ItemResult } from '@dmoerm/client';
import { DmoermError } from '@dmoerm/core';
import * as fc from 'fast-check';
import { hasFailure, parseRecord, toRecord } from './records';

const line = {
  id: 'a1',
  messages: [{ role: 'user', content: 'Why do rivers bend?' }],
  candidates: ['Erosion.', 'Who knows?'],
};

describe('a line of input', () => {
  it('becomes an item; a named task becomes forced routing', () => {
    const { id, item } = parseRecord(JSON.stringify({ ...line, task: 'chat' }), 1);
    expect(id).toBe('a1');
    expect(item).toEqual({
      prompt: { type: 'conversation', messages: line.messages },
      candidates: line.candidates,
      options: { routing: { type: 'forced', task: 'chat' } },
    });
    expect(parseRecord(JSON.stringify(line), 1).item).not.toHaveProperty('options');
  });

  it.each([
    ['no JSON', '{"id": ', 'line 7', 'line 7'],
    ['no object', '[1]', 'line 7', 'line 7: '],
    ['a missing field', JSON.stringify({ ...line, candidates: undefined }), 'a1', 'line 7: candidates'],
    [
      'a wrong type deep inside',
      JSON.stringify({ ...line, candidates: ['x', 3] }),
      'a1',
      'line 7: candidates.1',
    ],
    ['a field that nobody knows', JSON.stringify({ ...line, prompt: 'x' }), 'a1', 'line 7: '],
    ['an id that is no text', JSON.stringify({ ...line, id: 5 }), 'line 7', 'line 7: id'],
  ])(
    'with %s becomes an error that names line and field, and keeps its id where it has one',
    (_, text, id, field) => {
      const parsed = parseRecord(text, 7);
      expect(parsed.id).toBe(id);
      expect(parsed.item).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'BAD_RECORD', field });
    },
  );

  it('of any text gives an item or an error, and never throws', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      fc.json().map((json) => `{"id":"x","messages":${json}}`),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const { item } = parseRecord(text, 1);
        expect(item instanceof DmoermError || item.candidates.length >= 0).toBe(true);
      }),
    );
  });
});

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
    expect(hasFailure(scored(0.5))).toBe(true);
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
