import { decide, replyToRepair, type Reply, type Step } from './decide';

const reply = (step: Step, content: string | null, more: Partial<Reply> = {}): Reply => ({
  step,
  content,
  refusal: null,
  finishReason: 'stop',
  ...more,
});
const GOOD = '{"winner":"1"}';
const cut = { finishReason: 'length' };

it.each<[string, Reply[], object]>([
  ['nothing yet', [], { type: 'ask', step: 'first' }],
  ['a verdict', [reply('first', GOOD)], { type: 'verdict', verdict: '1' }],
  ['a refusal', [reply('first', GOOD, { refusal: 'I cannot' })], { type: 'dropped', reason: 'refused' }],
  [
    'a filter',
    [reply('first', GOOD, { finishReason: 'content_filter' })],
    { type: 'dropped', reason: 'refused' },
  ],
  ['an empty reply', [reply('first', ' \n')], { type: 'dropped', reason: 'refused' }],
  ['no content', [reply('first', null)], { type: 'dropped', reason: 'refused' }],
  ['a cut reply', [reply('first', GOOD, cut)], { type: 'ask', step: 'larger' }],
  ['an empty cut reply', [reply('first', null, cut)], { type: 'ask', step: 'larger' }],
  ['a larger one', [reply('first', '', cut), reply('larger', GOOD)], { type: 'verdict', verdict: '1' }],
  [
    'a larger one that is cut too',
    [reply('first', '', cut), reply('larger', GOOD, cut)],
    { type: 'dropped', reason: 'truncated' },
  ],
  ['chatter', [reply('first', '1 is worse')], { type: 'ask', step: 'repair' }],
  [
    'a repaired one',
    [reply('first', '1 is worse'), reply('repair', GOOD)],
    { type: 'verdict', verdict: '1' },
  ],
  [
    'chatter twice',
    [reply('first', '1 is worse'), reply('repair', 'as I said')],
    { type: 'dropped', reason: 'unparsable' },
  ],
  [
    'a repair that is cut',
    [reply('first', '1 is worse'), reply('repair', GOOD, cut)],
    { type: 'dropped', reason: 'unparsable' },
  ],
  [
    'a repair that is refused',
    [reply('first', '1 is worse'), reply('repair', null)],
    { type: 'dropped', reason: 'refused' },
  ],
])('%s', (_, replies, decision) => {
  expect(decide(replies)).toEqual(decision);
});

it('quotes the complete reply when it asks for a repair', () => {
  expect(replyToRepair([reply('first', 'half', cut), reply('larger', 'whole')])).toBe('whole');
});
