import type { Template } from '@huggingface/jinja';

/** A node of the template library's syntax tree, as far as it is looked at here. */
interface Node {
  type?: unknown;
  callee?: Node;
  object?: Node;
  property?: Node & { value?: unknown };
  args?: Node[];
}

/** Python's string methods that take characters off the ends; the template library ignores their argument and takes off blanks. */
const METHODS: Readonly<Record<string, { readonly start: boolean; readonly end: boolean }>> = {
  strip: { start: true, end: true },
  lstrip: { start: true, end: false },
  rstrip: { start: false, end: true },
};
const PREFIX = 'dmoerm_';

/** Functions that `honourStripArguments` makes a template call; to be given to it as variables. */
export const STRIP_FUNCTIONS: Readonly<Record<string, (text: string, characters: string) => string>> =
  Object.fromEntries(
    Object.entries(METHODS).map(([name, ends]) => [
      PREFIX + name,
      (text: string, characters: string) => stripCharacters(text, new Set(characters), ends),
    ]),
  );

/** Rewrites `text.strip(characters)` and the like in a parsed template into calls of `STRIP_FUNCTIONS`. */
export function honourStripArguments(template: Template): void {
  visit(template.parsed as Node);
}

function visit(node: Node): void {
  for (const child of Object.values(node))
    if (typeof child === 'object' && child !== null) visit(child as Node);
  const { callee, args } = node;
  const method = callee?.property;
  if (node.type !== 'CallExpression' || callee?.type !== 'MemberExpression' || args?.length !== 1) return;
  if (method === undefined || typeof method.value !== 'string' || !Object.hasOwn(METHODS, method.value))
    return;
  node.args = [callee.object as Node, ...args];
  node.callee = method;
  method.value = PREFIX + method.value;
}

function stripCharacters(
  text: string,
  characters: ReadonlySet<string>,
  ends: { start: boolean; end: boolean },
): string {
  const letters = Array.from(text);
  let from = 0;
  let to = letters.length;
  while (ends.start && from < to && characters.has(letters[from] as string)) from++;
  while (ends.end && to > from && characters.has(letters[to - 1] as string)) to--;
  return letters.slice(from, to).join('');
}
