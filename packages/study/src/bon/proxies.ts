import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { createRandom } from '@dmoerm/core';
import { openRun, readRecipe, trainUnits, type EncodedGroup, type Run } from '@dmoerm/recipe';
import type { OpenedTokenizer } from '@dmoerm/tokenizer';
import { RULE_NAMES } from '../rules';
import { trainedRouter, trainedRules, type Assignment } from '../trained-task';
import type { BonSize, Proxy } from './design';
import type { LabelFiles } from './labels';
import { averageWeights } from './weight-average';
import type { StudyPrompt } from './prompts';

/** Scores by variant of the proxy, by test prompt, by response. */
export type ProxyScores = Readonly<Record<string, readonly (readonly number[])[]>>;

/** Where proxies are made, and of what. */
export interface ProxyOptions {
  readonly basePath: string;
  readonly labels: LabelFiles;
  readonly size: BonSize;
  /** Of this noise. */
  readonly folder: string;
  /** States below the first adapted layer, shared by all noises. */
  readonly trunks: string;
  readonly threads: number;
  readonly onStage?: (stage: string) => void;
  readonly onProgress?: (label: string, done: number, total: number) => void;
}

/** Trains a proxy and scores the responses to the test prompts; what is done is kept in the folder, and training resumes. */
export async function scoreProxy(
  proxy: Proxy,
  test: readonly StudyPrompt[],
  responses: readonly (readonly string[])[],
  options: ProxyOptions,
): Promise<ProxyScores> {
  const folder = join(options.folder, proxy.name);
  const file = join(folder, 'scores.json.gz');
  if (existsSync(file)) return JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as ProxyScores;
  const run = await trainProxy(proxy, options);
  const groups = test.map((prompt, i) => toGroup(prompt, responses[i] ?? [], run.opened));
  const scores = await scoreAll(run, proxy, test, groups);
  await writeFile(`${file}.tmp`, gzipSync(JSON.stringify(scores)));
  await rename(`${file}.tmp`, file);
  return scores;
}

/** Trains a proxy, if it is not trained yet. */
export async function trainProxy(proxy: Proxy, options: ProxyOptions): Promise<Run> {
  const { name, seed, recipe, averageOf } = proxy;
  const { basePath, labels, size, trunks, threads, onStage, onProgress } = options;
  const folder = join(options.folder, name);
  mkdirSync(folder, { recursive: true });
  const whole = {
    name: name.replaceAll('_', '-'),
    base: basePath,
    seed,
    max_tokens: size.promptTokens + size.newTokens + 16,
    ...recipe,
    data: {
      ...(recipe['data'] as object),
      pairs: [labels.preferences, labels.capabilityPairs],
      licences: 'all',
    },
  };
  const path = join(folder, 'recipe.yaml');
  // JSON is YAML.
  await writeFile(path, JSON.stringify(whole, null, 2));
  const run = await openRun({
    recipe: readRecipe(path),
    folder,
    trunks,
    cacheDir: folder,
    version: 'study',
    threads,
    ...(onStage !== undefined && { onStage }),
    ...(onProgress !== undefined && {
      onProgress: (label: string, done: number, total: number) =>
        onProgress(`${name}: ${label}`, done, total),
    }),
  });
  if (averageOf.length > 0)
    await averageWeights(
      run,
      averageOf.map((one) => join(options.folder, one)),
    );
  else await trainUnits(run);
  return run;
}

/** A test prompt with all its responses, equal ones too. */
function toGroup(
  { tokens, id }: StudyPrompt,
  responses: readonly string[],
  { template }: OpenedTokenizer,
): EncodedGroup {
  const candidates = responses.map((text) => ({
    prompt: 0,
    tokens: Int32Array.from(template.candidateTokens(text)),
  }));
  return {
    key: createHash('sha256')
      .update(JSON.stringify([id, responses]))
      .digest('base64url'),
    prompts: [tokens],
    candidates,
    pairs: new Map(),
    rows: tokens.length + candidates.reduce((sum, one) => sum + one.tokens.length, 0),
  };
}

/** By whom a prompt's responses are scored: tasks with weights, by the name of the route. */
type Routes = ReadonlyMap<string, readonly Assignment[]>;

async function scoreAll(
  run: Run,
  proxy: Proxy,
  test: readonly StudyPrompt[],
  groups: readonly EncodedGroup[],
): Promise<ProxyScores> {
  const routes = proxy.single ? test.map(() => everywhere('any')) : routesOf(run, proxy, test);
  const names = [...(routes[0]?.keys() ?? [])].flatMap((route) =>
    route === 'router' ? [...RULE_NAMES, 'spread'] : [route],
  );
  const scores: Record<string, number[][]> = {};
  for (const name of names) scores[name] = groups.map(({ candidates }) => candidates.map(() => 0));
  for (const [t, { task }] of run.selection.tasks.entries()) {
    const asked = groups.filter((_, p) =>
      [...(routes[p]?.values() ?? [])].some((shares) => shares.some((one) => one.task === task.name)),
    );
    const { rules, spread, embeddings } = await trainedRules(run, t, asked);
    for (const [p, group] of groups.entries())
      for (const [route, shares] of routes[p] ?? []) {
        const weight = shares.find((one) => one.task === task.name)?.weight;
        if (weight === undefined) continue;
        const all = embeddings.get(group.key) ?? new Float32Array(0);
        const width = all.length / group.candidates.length;
        group.candidates.forEach((_, n) => {
          const u = all.subarray(n * width, (n + 1) * width);
          const add = (name: string, value: number): void => {
            const row = scores[name]?.[p] ?? [];
            row[n] = (row[n] ?? 0) + weight * value;
          };
          if (route !== 'router') return add(route, rules.reward(u));
          for (const name of RULE_NAMES) add(name, rules[name](u));
          add('spread', spread(u));
        });
      }
  }
  return scores;
}

function everywhere(task: string): Routes {
  return new Map([['router', [{ task, weight: 1 }]]]);
}

function routesOf(run: Run, { otherRoutes }: Proxy, test: readonly StudyPrompt[]): Routes[] {
  const route = trainedRouter(run);
  const tasks = run.options.recipe.tasks.map(({ name }) => name);
  const random = createRandom(run.options.recipe.seed);
  return test.map(({ messages, task }) => {
    const other = tasks[Math.floor(random() * tasks.length)] ?? '';
    return new Map([
      ['router', route(messages, 'top_1')],
      ...(otherRoutes
        ? ([
            ['oracle_routing', [{ task, weight: 1 }]],
            ['random_routing', [{ task: other, weight: 1 }]],
            ['soft_routing', route(messages, 'soft')],
          ] as const)
        : []),
    ]);
  });
}
