import type { Figure } from '../figure';
import { R3 } from './r3-overload';
import { R4 } from './r4-wasted-work';

/** All figures, in the order of their numbers. */
export const FIGURES: readonly Figure[] = [R3, R4];
