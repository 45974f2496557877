/** Style of a text that people see without reading it. */
export interface Style {
  /** UTF-16 units. */
  readonly characters: number;
  readonly headers: number;
  readonly bold: number;
  readonly listItems: number;
  readonly codeBlocks: number;
}

/** Counts length and markdown. */
export function styleOf(text: string): Style {
  const count = (pattern: RegExp): number => text.match(pattern)?.length ?? 0;
  return {
    characters: text.length,
    headers: count(/^ {0,3}#{1,6}\s/gm),
    bold: count(/\*\*[^*\n]+\*\*|__[^_\n]+__/g),
    listItems: count(/^\s*(?:[-*+]|\d{1,3}[.)])\s/gm),
    codeBlocks: Math.floor(count(/^\s*```/gm) / 2),
  };
}

/** All markdown marks together. */
export function markCount({ headers, bold, listItems, codeBlocks }: Style): number {
  return headers + bold + listItems + codeBlocks;
}

/** Names of `styleFeatures`. */
export const STYLE_FEATURES = ['log_length', 'headers', 'bold', 'list_items', 'code_blocks'] as const;

/** What a reward is explained with: log(1 + x) of length and counts, as each further mark matters less. */
export function styleFeatures({ characters, headers, bold, listItems, codeBlocks }: Style): number[] {
  return [characters, headers, bold, listItems, codeBlocks].map(Math.log1p);
}
