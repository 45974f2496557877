import { toPlace } from './place';

describe('toPlace', () => {
  it('finds the text that an error is about', () => {
    expect(toPlace('items[0].messages[2].content')).toEqual({ type: 'turn', index: 2 });
    expect(toPlace('items[0].candidates[1]')).toEqual({ type: 'candidate', index: 1 });
    expect(toPlace('candidates[12]')).toEqual({ type: 'candidate', index: 12 });
    for (const other of [null, 'items[0].task', 'items'])
      expect(toPlace(other)).toEqual({ type: 'elsewhere' });
  });
});
