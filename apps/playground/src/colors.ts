const COLORS = ['blue.6', 'orange.6', 'teal.6', 'grape.6', 'pink.6', 'lime.7', 'cyan.7', 'yellow.6'];

/** Colour of a response, by its place, wherever it is shown; from the ninth on they come again. */
export function colorOf(candidate: number): string {
  return COLORS[candidate % COLORS.length] as string;
}

/** The same for style sheets. */
export function toCss(color: string): string {
  return `var(--mantine-color-${color.replace('.', '-')})`;
}
