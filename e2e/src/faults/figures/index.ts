import type { Figure } from '../figure';
import { R1 } from './r1-killed-replicas';

/** All figures, in the order of their numbers. */
export const FIGURES: readonly Figure[] = [R1];
