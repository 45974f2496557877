import type { ItemResult, Score } from '@dmoerm/client';

const BAR = 12;

/** An item for people: its route, then a line per candidate, best first, with a bar per capability. */
export function formatItem(id: string, result: ItemResult): string {
  if (result.type === 'error')
    return `${id}\n  no reward: ${result.error.message} [${result.error.reason}]\n`;
  const { route, candidates } = result;
  const lines = [
    `${id}${route === null ? '' : `  ${route.task} ${percent(route.probability)}${route.fallback ? ' (fallback)' : ''}`}`,
  ];
  const order = candidates.map((_, i) => i).sort((a, b) => rewardOf(candidates[b]) - rewardOf(candidates[a]));
  for (const i of order) {
    const candidate = candidates[i];
    if (candidate?.type === 'score') lines.push(...formatScore(i, candidate));
    else if (candidate !== undefined)
      lines.push(`  #${i + 1}  no reward: ${candidate.error.message} [${candidate.error.reason}]`);
  }
  return `${lines.join('\n')}\n`;
}

function formatScore(index: number, score: Score): string[] {
  const flags = [score.truncated ? 'truncated' : '', score.degraded ? 'degraded' : ''].filter(
    (flag) => flag !== '',
  );
  const head = `  #${index + 1}  reward ${signed(score.reward)} ± ${score.uncertainty.heads.toFixed(2)}  ${score.tokenCount} tokens  ${flags.join(' ')}`;
  const width = Math.max(...score.capabilities.map(({ name }) => name.length));
  const lines = score.capabilities.map(
    ({ name, score: value, contribution }) =>
      `      ${name.padEnd(width)}  ${signed(value)}  moves the reward by ${signed(contribution)} ${bar(contribution)}`,
  );
  return [head.trimEnd(), ...lines];
}

/** A bar to the left or right of its middle; full at ±2. */
function bar(value: number): string {
  const half = BAR / 2;
  const length = Math.min(half, Math.round((Math.abs(value) / 2) * half));
  const left = value < 0 ? '█'.repeat(length).padStart(half) : ' '.repeat(half);
  const right = value > 0 ? '█'.repeat(length).padEnd(half) : ' '.repeat(half);
  return `${left}|${right}`.trimEnd();
}

function rewardOf(candidate: { readonly type: string } | undefined): number {
  return candidate?.type === 'score' ? (candidate as Score & { type: string }).reward : -Infinity;
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(2)}`.padStart(6);
}

function percent(value: number): string {
  return `${(100 * value).toFixed(0)} %`;
}
