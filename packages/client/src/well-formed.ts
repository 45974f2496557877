import { invalidArgument } from '@dmoerm/core';

/**
 * Refuses text with half of a surrogate pair: UTF-8 has no form for it, and another text would be scored in silence.
 * @throws DmoermError INVALID_ARGUMENT, reason `ILL_FORMED_TEXT`, at `field`.
 */
export function requireWellFormed(text: string, field: string): string {
  if (!text.isWellFormed())
    throw invalidArgument(
      field,
      'ILL_FORMED_TEXT',
      'half of a surrogate pair is no Unicode text; repair the text',
    );
  return text;
}
