import { readUnit, unitFolder, type Run, type ValueHead } from '@dmoerm/recipe';

/** The value heads of a task's experts. @throws Error if one is not trained. */
export async function trainedHeads(run: Run, task: number): Promise<ValueHead[]> {
  const own = run.options.recipe.tasks[task];
  const heads: ValueHead[] = [];
  for (const capability of own?.capabilities ?? []) {
    const done = own === undefined ? null : await readUnit(unitFolder(run, { task: own, capability }));
    if (done === null) throw new Error(`${capability.name} is not trained`);
    heads.push(done.head);
  }
  return heads;
}
