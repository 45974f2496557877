import fc from 'fast-check';
import { parseVerdict, verdictSchema } from './verdict';

/** What the released code does: the first digit of the text. */
const naive = (reply: string): string | null => /[12]/.exec(reply)?.[0] ?? null;

it.each([
  ['{"winner":"1"}', '1'],
  ['{"winner":"2"}', '2'],
  ['{"winner":"tie"}', 'tie'],
  ['  {\n  "winner" : "2"\n}\n', '2'],
  ['```json\n{"winner":"1"}\n```', '1'],
  ['```\n{"winner":"1"}\n```', '1'],
  ['Both answer, the second more fully.\n{"winner":"2"}', '2'],
  ['Reasons.\n```json\n{"winner":"2"}\n```', '2'],
  ['Response 1 is shorter.\nWINNER: 2', '2'],
  ['Winner: "tie".', 'tie'],
  ['{"rationale":"1 is vague; \\"winner\\": unclear","winner":"2"}', '2'],
])('reads %j', (reply, verdict) => {
  expect(parseVerdict(reply)).toBe(verdict);
});

describe.each([
  ['1 is worse than 2'],
  ['2 is better than 1'],
  ['Response 1 loses.'],
  ['The winner is 1'],
  ['Winner: 1 or 2'],
  ['Winner: 1, no: 2'],
  ['winner: 12'],
  ['{"winner":"1"} but really 2'],
  ['{"winner":"1"}\n{"winner":"2"}'],
  ['winner: 1\nwinner: 2'],
  ['{"winner":"1","winner":"2"}'],
  ['{"winner":"1","because":"it says so"}'],
  ['[{"winner":"1"}]'],
  ['{"winner":["1"]}'],
  ['{"winner":1}'],
  ['{"winner":"1 "}'],
  ['{"verdict":{"winner":"1"}}'],
  ['{"winner":"1"'],
  ['not {"winner":"1"}'],
  ['I cannot judge these 2 texts.'],
  ['1'],
  ['2.'],
])('%j', (reply) => {
  it('is no verdict', () => expect(parseVerdict(reply)).toBeNull());
  it('would be a label by its first digit', () => expect(naive(reply)).not.toBeNull());
});

it.each([[''], ['tie?'], ['{"winner":"１"}'], ['{"winner":"Tie"}'], ['null'], ['{"winner":null}']])(
  '%j is no verdict either',
  (reply) => expect(parseVerdict(reply)).toBeNull(),
);

it('finds no verdict in text that does not say winner', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      fc.pre(!/winner/i.test(text));
      expect(parseVerdict(text)).toBeNull();
    }),
  );
});

it('reads the verdict below any reasons', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('1', '2', 'tie'), (reasons, verdict) => {
      fc.pre(!/winner|```/i.test(reasons));
      expect(parseVerdict(`${reasons}\n{"winner":"${verdict}"}`)).toBe(verdict);
    }),
  );
});

it('asks for reasons before the verdict, where it asks for reasons', () => {
  expect(verdictSchema(true)).toMatchObject({
    required: ['rationale', 'winner'],
    additionalProperties: false,
  });
  expect(verdictSchema(false)).toMatchObject({ required: ['winner'], additionalProperties: false });
});
