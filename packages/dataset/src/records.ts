import { z } from 'zod';

const message = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });
const split = z.enum(['train', 'valid', 'test']);
const text = z.string().min(1);
const origin = { source: z.string(), licence: z.string(), messages: z.array(message), split };
const scored = { ...origin, task: z.string(), prompt_id: z.string() };

/** The `pair` record. */
export const pairSchema = z.object({
  ...scored,
  chosen: text,
  rejected: text,
  tie: z.boolean().default(false),
  capability: z.string().nullish(),
  /** The first user turn also opens a training row: a strict test leaves the pair out. */
  first_turn_in_train: z.boolean().default(false),
});
/** A response with ratings per capability. */
export const ratingSchema = z.object({
  ...scored,
  response: text,
  ratings: z.record(z.string(), z.number().min(0).max(1)),
});
/** A prompt with the task it belongs to. */
export const routeSchema = z.object({ ...origin, label: z.string() });

/** Two responses to one prompt, the better one first known. */
export type Pair = z.infer<typeof pairSchema>;
/** One response with ratings per capability, 0 to 1. */
export type Rating = z.infer<typeof ratingSchema>;
/** A prompt with its task. */
export type RouteRow = z.infer<typeof routeSchema>;
/** A prompt lies in one part only. */
export type Split = z.infer<typeof split>;

/** Licence mark of rows that weights that leave the machine must not be trained on. */
const NO_LICENCE = 'none-stated';

/** Whether weights trained on a row may be shipped. */
export function mayShip({ licence }: { readonly licence: string }): boolean {
  return licence !== NO_LICENCE;
}
