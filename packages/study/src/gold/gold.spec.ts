import { measure, vocabularyOf } from './attributes';
import { capabilitiesOf, createGold, GOLD_TASKS } from './gold';

const known = vocabularyOf([
  'the river bends where water cuts the bank',
  'the river water cuts the outer bank where',
]);

describe('measure', () => {
  const of = (response: string, words = 5) => measure('Why does the river bend?', response, words, known);

  it('says what a response takes up, repeats, how long, plain and well formed it is', () => {
    expect(of('The river water cuts.')).toMatchObject({ variety: 1, plainness: 1, form: 1 });
    expect(of('The river does bend.').relevance).toBe(1);
    expect(of('Nothing.').relevance).toBe(0);
    expect(of('river river river river').variety).toBe(0.25);
    expect(of('xqz river').plainness).toBe(0.5);
    expect(of('the river bends').form).toBe(0);
  });

  it('is best at the wanted length and worse on both sides', () => {
    const [short, right, long] = [1, 5, 30].map((count) => of('river '.repeat(count)).brevity);
    expect(right).toBe(-0);
    expect(short).toBeLessThan(0);
    expect(long).toBeLessThan(0);
  });

  it('measures no words, and other scripts, as numbers', () => {
    for (const text of ['', '...', 'река'])
      for (const value of Object.values(of(text))) expect(Number.isFinite(value)).toBe(true);
  });
});

describe('createGold', () => {
  const responses = ['The river bends.', 'river river', 'Water cuts the outer bank.', 'xqz', ''].map(
    (response) => ({
      question: 'Why does the river bend?',
      response,
    }),
  );

  it.each(GOLD_TASKS.map((task) => [task.name, task] as const))(
    '%s: the policy has mean 0, deviation 1',
    (_, task) => {
      const gold = createGold(task, known, responses);
      const rewards = responses.map(({ question, response }) => gold(question, response).reward);
      const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length;
      expect(mean).toBeCloseTo(0, 9);
      expect(
        Math.sqrt(rewards.reduce((sum, one) => sum + (one - mean) ** 2, 0) / rewards.length),
      ).toBeCloseTo(1, 3);
      expect(gold('a', 'b').capabilities).toHaveLength(capabilitiesOf(task).length);
    },
  );

  it('weighs to 1', () => {
    for (const { weights } of GOLD_TASKS)
      expect(Object.values(weights).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
  });
});
