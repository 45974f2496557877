import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { AlertCase } from './alert-cases';
import { ALERT_RULES } from './alerts';
import { ruleFile, runbookUrl } from './rule-file';

/** Whether there is a promtool, which comes with Prometheus. */
export function hasPromtool(): boolean {
  return spawnSync('promtool', ['--version']).status === 0;
}

/** What promtool finds wrong with rules; empty: nothing. */
export function checkRules(rules: string): string {
  return withFiles({ 'rules.yaml': rules }, (folder) =>
    promtool('check', 'rules', join(folder, 'rules.yaml')),
  );
}

/** What promtool finds otherwise than a case says; empty: nothing. */
export function testAlert(one: AlertCase): string {
  const severity = ALERT_RULES.flatMap(({ rules }) => rules).find(
    ({ alert }) => alert === one.alert,
  )?.severity;
  const test = {
    interval: '1m',
    input_series: Object.entries(one.series).map(([name, values]) => ({ series: name, values })),
    alert_rule_test: [
      {
        eval_time: one.at,
        alertname: one.alert,
        exp_alerts: one.fires.map(({ labels, summary }) => ({
          exp_labels: { ...labels, severity },
          exp_annotations: { summary, runbook_url: runbookUrl(one.alert) },
        })),
      },
    ],
  };
  const text = stringify({ rule_files: ['rules.yaml'], evaluation_interval: '1m', tests: [test] });
  return withFiles({ 'rules.yaml': ruleFile(), 'test.yaml': text }, (folder) =>
    promtool('test', 'rules', join(folder, 'test.yaml')),
  );
}

function promtool(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
  return status === 0 ? '' : `${stdout}${stderr}` || `status ${status}`;
}

function withFiles<T>(files: Readonly<Record<string, string>>, use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'dmoerm-rules-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
