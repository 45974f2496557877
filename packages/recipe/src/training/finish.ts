import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createBundle, type Bundle, type Manifest } from '@dmoerm/bundle';
import { DmoermError } from '@dmoerm/core';
import type { MarginsEvaluation } from '@dmoerm/evaluation';
import { finishTask, type FinishedExperts } from './finish-task';
import { encodeRouter } from '../router';
import { ROUTER_FEATURES } from '../router-features';
import { embedGroups, judgedPairs } from './embed';
import { fitRouter } from './fit-router';
import type { RecipeTask } from './recipe';
import { encodeOverall } from './encode-task';
import { readoutTokens, taskAdapterOf, unitFolder, type Run } from './run';
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
  for (const pairs of run.selection.tasks) {
    const experts = await collectExperts(run, pairs.task, sources);
    const { groups } = encodeOverall(run, pairs);
    const overall = judgedPairs(groups, await embedGroups(run, pairs.task, groups));
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
    tasks.push(await finishTask({ ...experts, overall }, aggregator, put, evaluations));
  }
  run.options.onStage?.('router');
  const routed = fitRouter(run);
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
    // What a readout appends needs positions too.
    max_tokens: run.base.config.maxPositions - longestReadout(run),
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

/** Most tokens that an expert of the run appends. */
function longestReadout(run: Run): number {
  return Math.max(...run.units.map((unit) => readoutTokens(run, unit).length));
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

type Experts = Omit<FinishedExperts, 'overall'>;

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

/** What licences ask to be told beside their name. */
const LICENCE_NOTES: Readonly<Record<string, string>> = {
  'MIT-repository':
    'the licence of the repository that carries the annotations; the annotations themselves state none',
  'CC-BY-4.0': 'attribution, to the authors of the data set named',
  'CC-BY-SA-4.0': 'attribution; what is adapted from it may be shared under the same licence',
};

/** Sources and licences of the rows behind the weights. */
function notice({ selection, routes }: Run): string {
  const rows = [
    ...selection.tasks.flatMap(({ overall, first, experts }) => [overall, first, ...experts.values()]).flat(),
    ...routes,
  ];
  const origins = [...new Set(rows.map(({ source, licence }) => `- ${source}: ${licence}`))].sort();
  const licences = [...new Set(rows.map(({ licence }) => licence))].sort();
  const notes = licences.flatMap((licence) => {
    const note = LICENCE_NOTES[licence];
    return note === undefined ? [] : [`${licence}: ${note}.`];
  });
  return [
    '# Notice',
    '',
    'The weights of this bundle were fitted on rows of these data sets, each under the licence that stands beside it. The data was',
    're-split, filtered and turned into pairs of responses; none of it is part of the bundle.',
    '',
    ...origins,
    ...(notes.length > 0 ? ['', ...notes] : []),
    '',
  ].join('\n');
}
