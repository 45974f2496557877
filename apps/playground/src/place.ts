/** Where in the editor a fault lies. */
export type Place =
  | { readonly type: 'turn'; readonly index: number }
  | { readonly type: 'candidate'; readonly index: number }
  | { readonly type: 'elsewhere' };

/** The place that an error's field names, e.g. `items[0].candidates[1]` or, in a candidate's own error, `candidates[1]`. */
export function toPlace(field: string | null): Place {
  const [, list, index] = /(?:^|\.)(messages|candidates)\[(\d+)\]/.exec(field ?? '') ?? [];
  if (list === undefined) return { type: 'elsewhere' };
  return { type: list === 'messages' ? 'turn' : 'candidate', index: Number(index) };
}
