import { parse } from 'yaml';
import type { z } from 'zod';

/**
 * The value that a text from a flag or the environment stands for: the text itself if it fits the schema, else its YAML
 * meaning (`8080`, `true`, `null`, `[a, b]`), else its comma-separated parts. If nothing fits, the first that is at least
 * of the right type, so that the error tells what is wrong with it.
 */
export function readText(schema: z.ZodType, text: string): unknown {
  const readings = [text, readYaml(text), text.split(',').map((part) => part.trim())];
  const results = readings.map((reading) => schema.safeParse(reading));
  const fitting = results.findIndex(({ success }) => success);
  if (fitting >= 0) return readings[fitting];
  const ofRightType = results.findIndex(({ error }) => error?.issues[0]?.code !== 'invalid_type');
  return ofRightType >= 0 ? readings[ofRightType] : text;
}

function readYaml(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}
