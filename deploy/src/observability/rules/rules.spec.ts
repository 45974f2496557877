import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { alertNames } from '../vocabulary';
import { ALERT_CASES } from './alert-cases';
import { checkRules, hasPromtool, testAlert } from './promtool';
import { RUNBOOKS, ruleFile, runbookUrl } from './rule-file';

const ROOT = resolve(__dirname, '..', '..', '..', '..');

const found = hasPromtool();
if (!found) process.stderr.write('skipped: rules under promtool (Debian: apt-get install prometheus)\n');
const withPromtool = found ? describe : describe.skip;

withPromtool('promtool', () => {
  it('accepts the rules, and refuses what is no rule', () => {
    expect(checkRules(ruleFile())).toBe('');
    expect(checkRules(ruleFile().replace('histogram_quantile(', 'histogram_quartile('))).toMatch(
      /unknown function/,
    );
  });

  it.each(ALERT_CASES.map((one) => [one.alert, one] as const))(
    '%s fires as it says, and only then',
    (_, one) => {
      expect(testAlert(one)).toBe('');
    },
  );

  it('finds an alert that does not fire, and one that says something else', () => {
    const [one] = ALERT_CASES;
    if (one === undefined) throw new Error('there are no cases');
    expect(testAlert({ ...one, at: '1m' })).toMatch(/FAILED/);
    expect(testAlert({ ...one, fires: one.fires.map((fire) => ({ ...fire, summary: 'x' })) })).toMatch(
      /FAILED/,
    );
  });
});

it('every alert has a case', () => {
  expect(ALERT_CASES.map(({ alert }) => alert).sort()).toEqual(alertNames().sort());
});

it('every alert has a section in the operator’s guide, and every section an alert', () => {
  const guide = readFileSync(join(ROOT, RUNBOOKS), 'utf8');
  const headings = [...guide.matchAll(/^#+ (Dmoerm\w+)$/gm)].map(([, name]) => name ?? '');
  expect(headings.sort()).toEqual(alertNames().sort());
  for (const name of headings) expect(runbookUrl(name)).toBe(`${RUNBOOKS}#${name.toLowerCase()}`);
});
