import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  accuracyOf,
  differenceOf,
  groupPairs,
  plannedDifference,
  type Accuracy,
  type Difference,
} from '@dmoerm/evaluation';
import { writeChart, type Chart } from '../chart';
import { studyArms, type StudyArm } from './arms';
import { readResults, type RunResult } from './run';

const BOOTSTRAP = { draws: 10_000, seed: 1 };

/** Figures of one arm. */
interface ArmFigures {
  readonly arm: StudyArm;
  readonly accuracy: Accuracy;
  /** To the single reward model; null for itself. */
  readonly difference: Difference | null;
  /** To the mean of an ensemble of single models; null for itself, and while there is none. */
  readonly toEnsemble: Difference | null;
}

/** Makes `study.json`, `study-accuracy.svg`, `study-cost.svg` and the tables of `study.md` from the runs that are done. */
export async function reportStudy(output: string): Promise<string> {
  const { test, runs } = readResults(join(output, 'study'));
  const arms = studyArms(runs, test.pairs);
  const [reference] = arms;
  if (reference?.name !== 'single_rm')
    throw new Error('single_rm is not trained yet: nothing to compare with');
  const options = {
    pairs: test.pairs,
    categoryOf: ({ task }: { task: string }) => task,
    bootstrap: BOOTSTRAP,
  };
  const ensemble = arms.find(({ name }) => name === 'klora_mean');
  const minus = (arm: StudyArm, other: StudyArm | undefined): Difference | null =>
    other === undefined || arm === other ? null : differenceOf(arm, other, options);
  const figures = arms.map((arm): ArmFigures => ({
    arm,
    accuracy: accuracyOf(arm, options),
    difference: minus(arm, reference),
    toEnsemble: minus(arm, ensemble),
  }));
  const { panel } = groupPairs(test.pairs, (i) => test.pairs[i]?.task ?? '');
  const json = {
    test: { pairs: test.pairs.length, too_long: test.too_long, size: test.size, data: test.data },
    detectable_difference_planned: round(plannedDifference(panel)),
    arms: figures.map(({ arm, accuracy, difference, toEnsemble }) => ({
      arm: arm.name,
      seeds: arm.seeds.length,
      accuracy: round(accuracy.value),
      interval: accuracy.interval?.map(round),
      per_task: Object.fromEntries(
        Object.entries(accuracy.categories).map(([task, { value, interval, prompts }]) => [
          task,
          { accuracy: round(value), interval: interval?.map(round), prompts },
        ]),
      ),
      passes_per_candidate: arm.passes === null ? null : Number(arm.passes.toFixed(2)),
      training_seconds: arm.trainingSeconds === null ? null : Math.round(arm.trainingSeconds),
      minus_single_rm: toJson(difference),
      minus_klora_mean: toJson(toEnsemble),
      worse_tasks: worseTasks(difference),
    })),
  };
  writeFileSync(join(output, 'study.json'), `${JSON.stringify(json, null, 2)}\n`);
  await writeChart(join(output, 'study-accuracy.svg'), accuracyChart(figures));
  await writeChart(join(output, 'study-cost.svg'), costChart(figures));
  return `${armTable(figures)}\n\n${taskTable(figures)}\n\n${unitTable(runs)}`;
}

function toJson(difference: Difference | null): object | null {
  if (difference === null) return null;
  const { value, interval, p } = difference;
  return { difference: round(value), interval: interval?.map(round), p: round(p) };
}

/** Tasks in which an arm is significantly worse than the single reward model (Holm over tasks). */
function worseTasks(difference: Difference | null): string[] {
  return Object.entries(difference?.categories ?? {})
    .filter(([, { value, p_holm: p }]) => (value ?? 0) < 0 && p < 0.05)
    .map(([task]) => task);
}

function round(value: number | null | undefined): number | null {
  return value === null || value === undefined ? null : Number(value.toFixed(4));
}

function share(value: number | null | undefined): string {
  return value === null || value === undefined ? '-' : value.toFixed(3).replace(/^(-?)0\./, '$1.');
}

function withInterval({ value, interval }: Pick<Accuracy, 'value' | 'interval'>): string {
  return interval === null ? share(value) : `${share(value)} [${share(interval[0])}, ${share(interval[1])}]`;
}

function markdown(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function armTable(figures: readonly ArmFigures[]): string {
  return markdown(
    [
      'arm',
      'seeds',
      'accuracy [95 %]',
      'minus `single_rm`',
      'p',
      'minus `klora_mean`',
      'passes',
      'training, min',
    ],
    figures.map(({ arm, accuracy, difference, toEnsemble }) => [
      `\`${arm.name}\``,
      `${arm.seeds.length}`,
      withInterval(accuracy),
      difference === null ? '' : withInterval(difference),
      difference === null ? '' : share(difference.p),
      toEnsemble === null ? '' : withInterval(toEnsemble),
      arm.passes === null ? '' : arm.passes.toFixed(1),
      arm.trainingSeconds === null ? '' : (arm.trainingSeconds / 60).toFixed(0),
    ]),
  );
}

function taskTable(figures: readonly ArmFigures[]): string {
  const tasks = Object.entries(figures[0]?.accuracy.categories ?? {});
  return markdown(
    ['arm', ...tasks.map(([task, { prompts }]) => `${task} (${prompts})`)],
    figures.map(({ arm, accuracy }) => [
      `\`${arm.name}\``,
      ...tasks.map(([task]) => withInterval(accuracy.categories[task] ?? { value: null, interval: null })),
    ]),
  );
}

/** What each expert learned, by run; the first seed of each. */
function unitTable(runs: readonly RunResult[]): string {
  const first = runs.filter(({ name, seed }) => seed === 1 && name !== 'linear_probe');
  return markdown(
    ['run', 'expert', 'training pairs', 'steps', 'best at', 'validation: probe', 'best'],
    first.flatMap(({ name, units }) =>
      units.map((one) => [
        `\`${name}\``,
        one.unit,
        `${one.training_pairs}`,
        `${one.steps}`,
        `${one.step}`,
        share(one.probe),
        share(one.accuracy),
      ]),
    ),
  );
}

function points(figures: readonly ArmFigures[]) {
  return figures.map(({ arm, accuracy }) => ({
    arm: arm.name,
    accuracy: accuracy.value,
    low: accuracy.interval?.[0] ?? null,
    high: accuracy.interval?.[1] ?? null,
    passes: arm.passes,
  }));
}

function accuracyChart(figures: readonly ArmFigures[]): Chart {
  const y = { field: 'arm', type: 'nominal', sort: null, title: null, axis: { labelLimit: 300 } } as const;
  const x = { type: 'quantitative', title: 'accuracy, mean over tasks', scale: { zero: false } } as const;
  return {
    title: 'Accuracy on test pairs, 95 % intervals',
    width: 480,
    data: { values: points(figures) },
    layer: [
      { mark: { type: 'rule', strokeDash: [4, 4], color: '#888' }, encoding: { x: { datum: 0.5 } } },
      { mark: 'rule', encoding: { y, x: { ...x, field: 'low' }, x2: { field: 'high' } } },
      { mark: { type: 'point', filled: true }, encoding: { y, x: { ...x, field: 'accuracy' } } },
    ],
  };
}

function costChart(figures: readonly ArmFigures[]): Chart {
  const x = {
    field: 'passes',
    type: 'quantitative',
    title: 'passes of a candidate through the base',
  } as const;
  const y = { type: 'quantitative', title: 'accuracy, mean over tasks', scale: { zero: false } } as const;
  const color = { field: 'arm', type: 'nominal', sort: null, title: null } as const;
  return {
    title: 'Accuracy against cost',
    width: 480,
    height: 300,
    data: { values: points(figures) },
    layer: [
      { mark: 'rule', encoding: { x, color, y: { ...y, field: 'low' }, y2: { field: 'high' } } },
      {
        mark: { type: 'point', filled: true, size: 60 },
        encoding: { x, color, y: { ...y, field: 'accuracy' } },
      },
    ],
  };
}
