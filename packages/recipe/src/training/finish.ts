import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createBundle, hashFile, sha256, type Bundle, type Manifest } from '@dmoerm/bundle';
import { DmoermError, routingText } from '@dmoerm/core';
import { createEngine, type Engine } from '@dmoerm/engine';
import { openAdapter } from '@dmoerm/weights';
import { EmbeddingCache } from '../embeddings';
import type { MarginsEvaluation } from '@dmoerm/evaluation';
import { hashFraction } from '@dmoerm/dataset';
import { finishTask, type FinishedExperts } from '../finish-task';
import { encodeRouter, routerAccuracy, trainRouter, type RoutedText } from '../router';
import { ROUTER_FEATURES } from '../router-features';
import type { RecipeTask } from './recipe';
import { readoutTokens, taskAdapterOf, unitFolder, type Run } from './run';
import type { TaskPairs } from './select';
import { readUnit } from './units';

/** How to make the bundle. */
export interface FinishOptions {
  /** New folder of the bundle. */
  readonly output: string;
}

/** The bundle, and what its rewards are worth on test pairs. */
export interface Finished {
  readonly bundle: Bundle;
  readonly evaluations: readonly MarginsEvaluation[];
  /** Accuracy of the router on validation prompts. */
  readonly router: number;
}

/**
 * Phase 3, router and bundle, from the units of a run.
 * @throws DmoermError FAILED_PRECONDITION, reason `UNITS_MISSING`, naming those that are not trained; as `createBundle`.
 */
export async function finishRun(run: Run, options: FinishOptions): Promise<Finished> {
  const { recipe } = run.options;
  await requireUnits(run);
  const draft = join(run.options.folder, 'draft');
  for (const folder of ['heads', 'aggregators', 'router'])
    mkdirSync(join(draft, folder), { recursive: true });
  const sources: Record<string, string> = {};
  const put = (path: string): string => (sources[path] = join(draft, path));
  const evaluations: MarginsEvaluation[] = [];
  const tasks: Manifest['tasks'] = [];
  await using engine = await createEngine(run.base, { threads: run.options.threads, weightType: 'f32' });
  for (const pairs of run.selection.tasks) {
    const experts = await collectExperts(run, pairs.task, sources);
    const cache = await embedOverall(run, pairs, experts, engine);
    const { phase3 } = recipe;
    const aggregator = {
      hidden: phase3.hidden,
      heads: phase3.heads,
      epochs: phase3.epochs,
      learningRate: phase3.learning_rate,
      weightDecay: phase3.weight_decay,
      seed: recipe.seed,
    };
    run.options.onStage?.(`${pairs.task.name}, aggregator`);
    tasks.push(await finishTask({ ...experts, overall: pairs.overall, cache }, aggregator, put, evaluations));
    cache.close();
  }
  const routed = routerOf(run);
  writeFileSync(put('router/router.onnx'), encodeRouter(routed.router));
  writeFileSync(put('NOTICE.md'), notice(run));
  const { embedded, file } = run.reference;
  if (embedded) sources[file === null ? 'base' : `base/${file}`] = run.basePath;
  const manifest: Omit<Manifest, 'files'> = {
    schema_version: 1,
    name: recipe.name,
    description: recipe.description,
    base: run.reference,
    template: { digest: run.opened.template.digest },
    max_tokens: run.base.config.maxPositions,
    tasks,
    router: {
      model: 'router/router.onnx',
      features: { ...ROUTER_FEATURES, blocks: [...ROUTER_FEATURES.blocks] },
      labels: [...routed.router.labels],
      fallback: {
        task: recipe.router.fallback ?? recipe.tasks[0]?.name ?? '',
        threshold: recipe.router.threshold,
      },
    },
    provenance: {
      created_by: `dmoerm ${run.options.version} train`,
      seed: recipe.seed,
      data: run.digests,
      licences: recipe.data.licences,
    },
  };
  const bundle = await createBundle({ manifest, sources }, options.output, {
    cacheDir: run.options.cacheDir,
  });
  return { bundle, evaluations, router: routed.valid };
}

async function requireUnits(run: Run): Promise<void> {
  const missing: number[] = [];
  for (const [i, unit] of run.units.entries())
    if ((await readUnit(unitFolder(run, unit))) === null) missing.push(i);
  if (missing.length > 0)
    throw new DmoermError({
      code: 'FAILED_PRECONDITION',
      reason: 'UNITS_MISSING',
      field: run.options.folder,
      message: `units ${missing.join(', ')} of ${run.units.length} are not trained yet: dmoerm train with --index, or without it`,
    });
}

type Experts = Omit<FinishedExperts, 'overall' | 'cache'>;

/** A task's experts as the bundle will hold them; their adapters become sources of it. */
async function collectExperts(run: Run, task: RecipeTask, sources: Record<string, string>): Promise<Experts> {
  const place = (capability: string, folder: string): string => {
    const path = `adapters/${task.name}/${capability}`;
    sources[path] = folder;
    return path;
  };
  const taskFolder = await taskAdapterOf(run, task);
  const experts = [];
  for (const capability of task.capabilities) {
    const unit = { task, capability };
    const folder = unitFolder(run, unit);
    const done = await readUnit(folder);
    if (done === null) throw new Error(`${folder} has no result`);
    experts.push({
      name: capability.name,
      displayName: capability.display_name ?? titleOf(capability.name),
      definition: capability.definition ?? titleOf(capability.name),
      adapter: place(capability.name, join(folder, 'adapter')),
      invocationTokens: readoutTokens(run, unit),
      head: done.head,
    });
  }
  return {
    task: {
      name: task.name,
      displayName: task.display_name ?? titleOf(task.name),
      definition: task.definition ?? titleOf(task.name),
    },
    plan: run.options.recipe.plan,
    taskAdapter: taskFolder === null ? null : place('task', taskFolder),
    experts,
  };
}

function titleOf(name: string): string {
  const words = name.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Embeddings of the task's overall pairs by its trained experts; what an earlier run computed is there. */
async function embedOverall(
  run: Run,
  { task, overall }: TaskPairs,
  experts: Experts,
  engine: Engine,
): Promise<EmbeddingCache> {
  const d = run.base.config.hiddenSize;
  const head = { weight: new Float32Array(d), bias: 0 };
  const folders = task.capabilities.map((capability) =>
    join(unitFolder(run, { task, capability }), 'adapter'),
  );
  const taskFolder = await taskAdapterOf(run, task);
  const adapters = [...folders, ...(taskFolder === null ? [] : [taskFolder])];
  const digests = await Promise.all(
    adapters.map((folder) => hashFile(join(folder, 'adapter_model.safetensors'))),
  );
  const key = sha256(digests.map(({ sha256: one }) => one).join(' ')).slice(0, 16);
  const cache = new EmbeddingCache(
    join(run.options.folder, 'embeddings', `${task.name}-${key}`),
    folders.length * d,
  );
  const handle = await engine.addTask({
    plan: run.options.recipe.plan,
    taskAdapter: taskFolder === null ? null : await openAdapter(taskFolder, run.base.config),
    experts: await Promise.all(
      folders.map(async (folder, k) => ({
        adapter: await openAdapter(folder, run.base.config),
        invocationTokens: experts.experts[k]?.invocationTokens ?? [],
        head,
      })),
    ),
  });
  const groups = new Map<
    string,
    { messages: TaskPairs['overall'][number]['messages']; responses: string[] }
  >();
  for (const { messages, chosen, rejected } of overall) {
    const text = JSON.stringify(messages);
    const group = groups.get(text) ?? { messages, responses: [] };
    group.responses.push(chosen, rejected);
    groups.set(text, group);
  }
  await cache.fill([...groups.values()], {
    engine,
    template: run.opened.template,
    readout: { handle, invocationTokens: experts.experts.map(({ invocationTokens }) => invocationTokens) },
    maxTokens: run.options.recipe.max_tokens,
    onProgress: (done, total) => run.options.onProgress?.(`${task.name}, embeddings`, done, total),
  });
  await engine.removeTask(handle);
  return cache;
}

/** The router on prompts whose pairs say their task. */
function routerOf({ selection, options }: Run): { router: ReturnType<typeof trainRouter>; valid: number } {
  const texts = (split: string): RoutedText[] =>
    selection.tasks.flatMap(({ task, overall, first, experts }) => {
      const rows = [...overall, ...first, ...[...experts.values()].flat()].filter(
        (row) => row.split === split,
      );
      const unique = new Set(rows.map(({ messages }) => routingText({ type: 'conversation', messages })));
      return [...unique]
        .sort((a, b) => hashFraction(a, 'router') - hashFraction(b, 'router'))
        .slice(0, options.recipe.router.max_prompts)
        .map((text) => ({ text, label: task.name }));
    });
  options.onStage?.('router');
  const valid = texts('valid');
  const router = trainRouter(texts('train'), valid, { spec: ROUTER_FEATURES, ridges: [0.1, 0.3, 1] });
  return { router, valid: routerAccuracy(router, valid) };
}

/** Sources and licences of the rows behind the weights. */
function notice({ selection }: Run): string {
  const rows = selection.tasks.flatMap(({ overall, first, experts }) => [
    ...overall,
    ...first,
    ...[...experts.values()].flat(),
  ]);
  const origins = [...new Set(rows.map(({ source, licence }) => `- ${source}: ${licence}`))].sort();
  return [
    '# Notice',
    '',
    'Adapters, heads, aggregators and router of this bundle were fitted on rows of these data sets, each under the licence that stands',
    'beside it. None of the data is part of the bundle.',
    '',
    ...origins,
    '',
  ].join('\n');
}
