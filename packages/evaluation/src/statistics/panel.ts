/** The prompts that a comparison stands on, in the order in which values are given for them. */
export interface Panel {
  /** Category names, in order of appearance. */
  readonly categories: readonly string[];
  /** Per category the indices of its prompts; never empty. */
  readonly members: readonly Int32Array[];
  /** P */
  readonly promptCount: number;
}

/** A panel of prompts that have these categories, [P]. */
export function createPanel(categoryOfPrompt: readonly string[]): Panel {
  const members = new Map<string, number[]>();
  categoryOfPrompt.forEach((category, prompt) => {
    const own = members.get(category);
    if (own === undefined) members.set(category, [prompt]);
    else own.push(prompt);
  });
  return {
    categories: [...members.keys()],
    members: [...members.values()].map((own) => Int32Array.from(own)),
    promptCount: categoryOfPrompt.length,
  };
}

/** Values of one arm: a row per seed, a value per prompt of the panel, [S][P]. Arms of the same `group` share their seeds. */
export interface Side {
  readonly group: string;
  readonly seeds: readonly Float64Array[];
}

/** What is estimated: the mean of `plus`, or of `plus` minus `minus`. */
export interface Series {
  readonly plus: Side;
  readonly minus: Side | null;
}

/** Values of a series per prompt, [P], means over its seeds. */
export function promptValues({ plus, minus }: Series): Float64Array {
  const mean = ({ seeds }: Side, prompt: number): number =>
    seeds.reduce((sum, values) => sum + (values[prompt] ?? NaN), 0) / seeds.length;
  return Float64Array.from(
    plus.seeds[0] ?? [],
    (_, prompt) => mean(plus, prompt) - (minus === null ? 0 : mean(minus, prompt)),
  );
}

/** Mean within each category, then over categories (recipe, section 5). NaN without prompts. */
export function macroMean(
  panel: Panel,
  values: ArrayLike<number>,
): { readonly overall: number; readonly byCategory: readonly number[] } {
  const byCategory = panel.members.map((own) => {
    let sum = 0;
    for (const prompt of own) sum += values[prompt] ?? NaN;
    return sum / own.length;
  });
  return { overall: byCategory.reduce((a, b) => a + b, 0) / byCategory.length, byCategory };
}
