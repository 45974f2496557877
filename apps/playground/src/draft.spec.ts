import { DEFAULTS, toDraft, toItem, type Settings } from './draft';

const MESSAGES = [{ role: 'user', content: 'Why?' }] as const;

describe('toItem', () => {
  const item = (settings: Partial<Settings>) =>
    toItem(toDraft([...MESSAGES], ['Because.'], { ...DEFAULTS, ...settings }));

  it("leaves out what is as the server's default", () => {
    expect(item({})).toEqual({ messages: MESSAGES, candidates: ['Because.'] });
  });

  it('never says what contradicts itself', () => {
    expect(item({ task: 'chat', routing: 'soft' })).not.toHaveProperty('routing');
    expect(item({ aggregation: 'mean', lambda: 2 })).not.toHaveProperty('lambda');
    expect(item({ aggregation: 'uncertainty_weighted', lambda: 2 })).toMatchObject({ lambda: 2 });
  });
});
