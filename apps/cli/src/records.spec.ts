import { DmoermError } from '@dmoerm/core';
import * as fc from 'fast-check';
import { hasFailure, parseRecord } from './records';

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

it('an item with a failed candidate has a failure', () => {
  const error = new DmoermError({ code: 'INVALID_ARGUMENT', reason: 'EMPTY_CANDIDATE', message: 'empty' });
  const timingsNs = { queue: 1, engine: 2, aggregate: 3, total: 7 };
  const item = { type: 'scored', candidates: [], route: null, revision: 'f'.repeat(64), timingsNs } as const;
  expect(hasFailure(item)).toBe(false);
  expect(hasFailure({ ...item, candidates: [{ type: 'error', error }] })).toBe(true);
  expect(hasFailure({ type: 'error', error })).toBe(true);
});
