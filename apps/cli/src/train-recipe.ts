import { join } from 'node:path';
import {
  finishRun,
  listUnits,
  openRun,
  plotRun,
  readRecipe,
  trainUnits,
  unitName,
  type UnitResult,
} from '@dmoerm/recipe';
import { formatMarginsEvaluations } from '@dmoerm/evaluation';
import { createStageProgress } from './progress';
import { readSettings } from './settings';

/** What `dmoerm train RECIPE` was asked. */
export interface TrainRecipeOptions {
  readonly run?: string;
  readonly output?: string;
  readonly index?: number;
  readonly list?: boolean;
  readonly threads: number;
}

/** Trains what a recipe describes; gives the report. */
export async function trainRecipe(file: string, options: TrainRecipeOptions): Promise<object> {
  const recipe = readRecipe(file);
  if (options.list === true) {
    const units = listUnits(recipe).map(unitName);
    process.stdout.write(units.map((unit, i) => `${i}  ${unit}\n`).join(''));
    return { units };
  }
  const { cacheDir } = readSettings();
  const progress = createStageProgress('rows');
  const folder = options.run ?? join('runs', recipe.name);
  const run = await openRun({
    recipe,
    folder,
    cacheDir,
    version: '0.1.0',
    threads: options.threads,
    onStage: (stage) => progress.message(stage),
    onProgress: (label, done, total) => progress.update(label, done, total),
  });
  const { unused, unlicensed } = run.selection;
  if (unlicensed > 0)
    progress.message(
      `${unlicensed} pairs are left out: their licence does not permit shipping (data.licences: all takes them)`,
    );
  if (unused > 0)
    progress.message(`${unused} pairs are of tasks or capabilities that the recipe does not have`);
  const results = await trainUnits(run, options.index);
  progress.stop();
  const plots = await plotRun(folder);
  process.stdout.write(`${unitTable(results)}\n\nplots: ${plots.join(', ')}\n`);
  if (options.index !== undefined) return { units: results };
  const { bundle, evaluations, router } = await finishRun(run, {
    output: options.output ?? join(folder, 'bundle'),
  });
  progress.stop();
  process.stdout.write(
    `\n${formatMarginsEvaluations(evaluations)}\nrouter, validation prompts: ${router.toFixed(3)}\n\nmade ${bundle.directory}\nrevision ${bundle.revision}\n`,
  );
  return { revision: bundle.revision, units: results, evaluations, router };
}

function unitTable(results: readonly UnitResult[]): string {
  const rows = [
    ['unit', 'pairs', 'valid', 'steps', 'probe', 'accuracy', 'at step', 'loss', 'minutes'],
    ...results.map((one) => [
      one.unit,
      `${one.training_pairs}`,
      `${one.validation_pairs}`,
      `${one.steps}`,
      one.probe.toFixed(3),
      one.best.accuracy.toFixed(3),
      `${one.best.step}`,
      one.best.loss.toFixed(3),
      (one.seconds / 60).toFixed(1),
    ]),
  ];
  const widths = rows[0]?.map((_, c) => Math.max(...rows.map((row) => row[c]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((text, c) => text.padEnd(widths[c] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
