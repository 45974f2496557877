import type { Figure } from '../figure';
import { R1 } from './r1-killed-replicas';
import { R15 } from './r15-chaos';
import { R2 } from './r2-rolling-restart';

/** All figures, in the order of their numbers. */
export const FIGURES: readonly Figure[] = [R1, R2, R15];
