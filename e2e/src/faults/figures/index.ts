import type { Figure } from '../figure';
import { R1 } from './r1-killed-replicas';
import { R10 } from './r10-not-finite';
import { R11 } from './r11-hot-swap';
import { R12 } from './r12-mtls';
import { R13 } from './r13-batch-invariance';
import { R14 } from './r14-traces';
import { R15 } from './r15-chaos';
import { R2 } from './r2-rolling-restart';
import { R3 } from './r3-overload';
import { R4 } from './r4-wasted-work';
import { R5 } from './r5-memory';
import { R6 } from './r6-fuzz';
import { R7 } from './r7-slow-clients';
import { R8 } from './r8-oversize';
import { R9 } from './r9-corrupt-weights';

/** All figures, in the order of their numbers. */
export const FIGURES: readonly Figure[] = [R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12, R13, R14, R15];
