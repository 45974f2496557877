/**
 * Cuts a text that holds prompt and response, as trainers decode it, in two. The prompt that they send along is the raw one, of which
 * the text perhaps has only the end, or nothing: what the text begins with and the prompt ends with is the prompt, and where that is
 * nothing, the first character stands for it, as a prompt may not be empty; both are scored as one text anyway.
 */
export function splitText(
  text: string,
  prompt: string,
): { readonly prompt: string; readonly response: string } {
  const length = overlap(text, prompt) || firstLength(text);
  return { prompt: text.slice(0, length), response: text.slice(length) };
}

/** Code units of the first character. */
function firstLength(text: string): number {
  return (text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1;
}

/**
 * Length of the longest beginning of `text` that `prompt` ends with, code units. Linear (Knuth, Morris and Pratt): texts of callers
 * may be made to be slow.
 */
function overlap(text: string, prompt: string): number {
  const size = Math.min(text.length, prompt.length);
  // borders[i]: length of the longest proper border of the first i + 1 code units of `text`.
  const borders = new Int32Array(size);
  const follow = (matched: number, unit: number): number => {
    let at = matched;
    while (at > 0 && (at === size || text.charCodeAt(at) !== unit)) at = borders[at - 1] ?? 0;
    return text.charCodeAt(at) === unit ? at + 1 : at;
  };
  for (let i = 1; i < size; i++) borders[i] = follow(borders[i - 1] ?? 0, text.charCodeAt(i));
  let matched = 0;
  for (let i = prompt.length - size; i < prompt.length; i++) matched = follow(matched, prompt.charCodeAt(i));
  return matched;
}
