import type { Figure } from '../figure';

/** All figures, in the order of their numbers. */
export const FIGURES: readonly Figure[] = [];
