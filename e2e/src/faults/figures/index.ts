import type { Figure } from '../figure';
import { R3 } from './r3-overload';
import { R4 } from './r4-wasted-work';
import { R5 } from './r5-memory';
import { R13 } from './r13-batch-invariance';

/** All figures, in the order of their numbers. */
export const FIGURES: readonly Figure[] = [R3, R4, R5, R13];
