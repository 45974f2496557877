import { z } from 'zod';

/** What a labeller said about two responses in the order shown to it. */
export type Verdict = '1' | '2' | 'tie';

const verdict = z.enum(['1', '2', 'tie']);
const replySchema = z.strictObject({ rationale: z.string().optional(), winner: verdict });
const LINE = /^(?:winner)\s*[:=]\s*(?:"(1|2|tie)"|(1|2|tie))\.?$/i;
const FENCED = /^```(?:json)?\s*\n([\s\S]*?)\n?```$/;

/** The JSON schema of a verdict for endpoints that can be held to one. */
export function verdictSchema(rationale: boolean): object {
  const winner = { type: 'string', enum: verdict.options };
  // Properties are written in this order: the reasons come before the verdict that they are to lead to.
  const properties = rationale ? { rationale: { type: 'string' }, winner } : { winner };
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

/**
 * The verdict of a reply, or null. A reply counts only if it *is* a verdict: the JSON object (alone, or fenced as code), or a last
 * line that is the object or `winner: X` and nothing else. A digit somewhere in a sentence never counts ("1 is worse than 2" is no
 * verdict), nor does a reply in which two verdict lines disagree.
 */
export function parseVerdict(reply: string): Verdict | null {
  const text = reply.trim();
  const whole = parseObject(FENCED.exec(text)?.[1] ?? text);
  if (whole !== null) return whole;
  const lines = text
    .replace(/\n```$/, '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const verdicts = lines.map(parseVerdictLine);
  const last = verdicts.at(-1) ?? null;
  return verdicts.every((one) => one === null || one === last) ? last : null;
}

function parseVerdictLine(line: string): Verdict | null {
  const match = LINE.exec(line);
  if (match !== null) return verdict.parse((match[1] ?? match[2])?.toLowerCase());
  return parseObject(line);
}

function parseObject(text: string): Verdict | null {
  if (!text.startsWith('{')) return null;
  // JSON.parse silently takes the last of two equal keys.
  if ((text.match(/"winner"\s*:/g) ?? []).length !== 1) return null;
  try {
    return replySchema.parse(JSON.parse(text)).winner;
  } catch {
    return null;
  }
}
