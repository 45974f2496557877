/** GPT-2's rule for cutting text into words; the fixed pattern of the `ByteLevel` pre-tokenizer. */
export const GPT2_PATTERN =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** A part of tokenizer.json's `pre_tokenizer`. */
export interface PreTokenizerPart {
  readonly type: string;
  readonly pretokenizers?: readonly PreTokenizerPart[];
  readonly [option: string]: unknown;
}

/** Cuts text by a regular expression and keeps all pieces. */
export function splitBy(regex: string): PreTokenizerPart {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false };
}

/** Words by GPT-2's rule, then bytes as letters. */
export function byteLevel(...before: readonly PreTokenizerPart[]): PreTokenizerPart {
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  return { type: 'Sequence', pretokenizers: [...before, bytes] };
}

/**
 * Says the same with `Split`, whose patterns the tokenizer library translates to JavaScript faithfully. Its `Digits` and `ByteLevel`
 * use JavaScript's own classes: ASCII digits only, and a white space that holds U+FEFF but not U+0085.
 */
export function withFaithfulClasses(part: PreTokenizerPart): PreTokenizerPart {
  if (part.pretokenizers !== undefined)
    return { ...part, pretokenizers: part.pretokenizers.map(withFaithfulClasses) };
  if (part.type === 'Digits') return splitBy(part['individual_digits'] === true ? '\\p{N}' : '\\p{N}+');
  if (part.type === 'ByteLevel' && part['use_regex'] !== false && part['add_prefix_space'] !== true)
    return byteLevel(splitBy(GPT2_PATTERN));
  return part;
}

/** The same for texts that are not the first of a sequence: `Metaspace` with prepend_scheme `first` then puts no blank before. */
export function withoutFirstPrefix(part: PreTokenizerPart): PreTokenizerPart {
  if (part.type === 'Metaspace' && part['prepend_scheme'] === 'first')
    return { ...part, prepend_scheme: 'never' };
  const parts = part.pretokenizers?.map(withoutFirstPrefix);
  return parts === undefined || parts.every((inner, i) => inner === part.pretokenizers?.[i])
    ? part
    : { ...part, pretokenizers: parts };
}
