import { parse } from 'yaml';
import type { z } from 'zod';

/**
 * The value that a text from a flag or the environment stands for: the text itself if it fits the schema, else its YAML
 * meaning (`8080`, `true`, `null`, `[a, b]`), else its comma-separated parts. If nothing fits, the text where one was
 * wanted, else the meaning, so that the error tells what is wrong with it.
 */
export function readText(schema: z.ZodType, text: string): unknown {
  const asText = schema.safeParse(text);
  if (asText.success) return text;
  const meaning = readYaml(text);
  const parts = text.split(',').map((part) => part.trim());
  for (const reading of [meaning, parts]) if (schema.safeParse(reading).success) return reading;
  return asText.error.issues[0]?.code === 'invalid_type' ? meaning : text;
}

function readYaml(text: string): unknown {
  try {
    return parse(text, { logLevel: 'error' });
  } catch {
    return text;
  }
}
