import type { Pair } from '@dmoerm/dataset';
import { bootstrap, type BootstrapOptions } from '../statistics/bootstrap';
import { detectableDifference } from '../statistics/detectable';
import { holm } from '../statistics/holm';
import type { Estimate } from '../statistics/interval';
import { promptValues, type Side } from '../statistics/panel';
import { signFlip } from '../statistics/sign-flip';
import { covers, scoreOf, type Arm } from './arm';
import { groupPairs, meanWithin, type PromptGroups } from './groups';

/** A figure of the report; shares in [0, 1]. */
export interface Figure {
  readonly pairs: number;
  readonly prompts: number;
  readonly value: number | null;
  /** 95 %, over prompts and seeds. */
  readonly interval: readonly [number, number] | null;
}

/** Accuracy over all categories and in each. */
export interface Accuracy extends Figure {
  readonly standard_error: number | null;
  readonly categories: Readonly<Record<string, Figure>>;
}

/** An arm minus another. */
export interface Difference extends Figure {
  readonly standard_error: number | null;
  /** Two-sided sign-flip p by prompt. */
  readonly p: number | null;
  /** The true difference that a 5 % test of this precision finds in 80 % of cases. */
  readonly detectable: number | null;
  readonly categories: Readonly<
    Record<string, Figure & { readonly p: number; /** Over the categories. */ readonly p_holm: number }>
  >;
}

/** What of a pair says which figures it belongs to. */
export type Clustered = Pick<Pair, 'source' | 'task' | 'prompt_id'>;

/** What figures stand on. */
export interface FigureOptions<P extends Clustered = Pair> {
  readonly pairs: readonly P[];
  /** What prompts are averaged over before their mean is taken: task or source. */
  readonly categoryOf: (pair: Clustered) => string;
  /** Leaves pairs out. */
  readonly take?: (pair: number) => boolean;
  readonly bootstrap: BootstrapOptions;
}

/** Accuracy of an arm on the pairs that all of its seeds judged: averaged within prompt, then prompts, then categories. */
export function accuracyOf(arm: Arm, options: FigureOptions<Clustered>): Accuracy {
  const groups = group(options, (pair) => covers(arm, pair));
  const [estimate] = bootstrap(groups.panel, [{ plus: toSide(arm, groups), minus: null }], options.bootstrap);
  const categories = Object.fromEntries(
    groups.panel.categories.map((name, c) => [name, toFigure(groups, estimate?.byCategory[c], c)]),
  );
  return {
    ...toFigure(groups, estimate?.overall),
    standard_error: errorOf(groups, estimate?.overall),
    categories,
  };
}

/** `arm` minus `reference` on the pairs that all seeds of both judged. */
export function differenceOf(arm: Arm, reference: Arm, options: FigureOptions<Clustered>): Difference {
  const groups = group(options, (pair) => covers(arm, pair) && covers(reference, pair));
  const series = { plus: toSide(arm, groups), minus: toSide(reference, groups) };
  const [estimate] = bootstrap(groups.panel, [series], options.bootstrap);
  const empty = groups.pairCount === 0;
  const p = signFlip(groups.panel, promptValues(series), options.bootstrap);
  const adjusted = holm(p.byCategory);
  const categories = Object.fromEntries(
    groups.panel.categories.map((name, c) => [
      name,
      {
        ...toFigure(groups, estimate?.byCategory[c], c),
        p: p.byCategory[c] ?? NaN,
        p_holm: adjusted[c] ?? NaN,
      },
    ]),
  );
  const error = errorOf(groups, estimate?.overall);
  return {
    ...toFigure(groups, estimate?.overall),
    standard_error: error,
    p: empty ? null : p.overall,
    detectable: error === null ? null : detectableDifference(error),
    categories,
  };
}

/** A figure without its parts. */
export function toPlainFigure({ pairs, prompts, value, interval }: Figure): Figure {
  return { pairs, prompts, value, interval };
}

function group(
  { pairs, categoryOf, take }: FigureOptions<Clustered>,
  covered: (pair: number) => boolean,
): PromptGroups {
  return groupPairs(
    pairs,
    (i) => categoryOf(pairs[i] as Clustered),
    (i) => covered(i) && (take?.(i) ?? true),
  );
}

function toSide(arm: Arm, groups: PromptGroups): Side {
  return {
    group: arm.group,
    seeds: arm.seeds.map((own) => meanWithin(groups, (pair) => scoreOf(own, pair))),
  };
}

function toFigure(groups: PromptGroups, estimate: Estimate | undefined, category?: number): Figure {
  const members = category === undefined ? groups.pairsOf.keys() : (groups.panel.members[category] ?? []);
  const prompts = [...members];
  const pairs = prompts.reduce((sum, prompt) => sum + (groups.pairsOf[prompt]?.length ?? 0), 0);
  if (estimate === undefined || pairs === 0) return { pairs, prompts: 0, value: null, interval: null };
  return { pairs, prompts: prompts.length, value: estimate.value, interval: [estimate.low, estimate.high] };
}

function errorOf({ pairCount }: PromptGroups, estimate: Estimate | undefined): number | null {
  return pairCount === 0 || estimate === undefined ? null : estimate.standardError;
}
