import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ScoreItem } from '@dmoerm/client';
import type { Authority } from '@dmoerm/testing';
import { renderChart } from '../chart';
import type { Expected } from './load';

const ROOT = resolve(__dirname, '..', '..', '..');
const KINDS = ['router', 'expert', 'aggregator', 'gateway'] as const;

interface Line {
  readonly id: string;
  readonly messages: Extract<ScoreItem['prompt'], { type: 'conversation' }>['messages'];
  readonly candidates: readonly string[];
}

/** The good items of the examples with their rewards from a mesh outside of containers. */
export function examples(): Expected[] {
  const file = join(ROOT, 'examples', 'conversations.jsonl');
  const command = [join(ROOT, 'apps', 'cli', 'bin', 'dmoerm.js'), 'score', file, '--output', 'jsonl'];
  const { stdout } = spawnSync(process.execPath, command, { encoding: 'utf8', cwd: ROOT });
  const scored = lines<{ id: string; candidates?: { reward?: number }[] }>(stdout);
  return lines<Line>(readFileSync(file, 'utf8')).flatMap(({ id, messages, candidates }) => {
    const rewards = scored.find((one) => one.id === id)?.candidates?.map(({ reward }) => reward);
    if (rewards === undefined || rewards.includes(undefined)) return [];
    return [
      { item: { prompt: { type: 'conversation', messages }, candidates }, rewards: rewards as number[] },
    ];
  });
}

function lines<T>(text: string): T[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

/** Certificates of the services, as Secrets of the names that the chart expects. */
export async function certify(authority: Authority): Promise<Record<string, Record<string, string>>> {
  const read = (file: string): string => readFileSync(file, 'utf8');
  const secrets = KINDS.map(async (kind) => {
    const { certificate, key } = await authority.issue(kind, { names: [`DNS:dmoerm-${kind}`] });
    const content = { 'tls.crt': read(certificate), 'tls.key': read(key), 'ca.crt': read(authority.ca) };
    return [`dmoerm-${kind}-tls`, content] as const;
  });
  return Object.fromEntries(await Promise.all(secrets));
}

/** The chart as it is by default, with fewer cores, shorter calls, and one who may call. */
export function render(): string {
  const set = {
    'experts[0].name': 'main',
    'experts[0].longestCallSeconds': 20,
    'experts[0].resources.limits.cpu': 1,
    'experts[0].resources.limits.memory': '2Gi',
    'router.longestCallSeconds': 20,
    'gateway.longestCallSeconds': 20,
    'security.identities[0].name': 'trainer',
    'security.identities[0].role': 'trainer',
    'security.identities[0].subjects[0]': 'DNS:trainer',
  };
  return renderChart(Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`]));
}
