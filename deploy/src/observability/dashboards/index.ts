import { EXPERTS } from './experts';
import { RED } from './red';
import { REVISIONS } from './revisions';
import { SATURATION } from './saturation';
import type { DashboardSpec } from './spec';
import { TRAINING } from './training';
import { WORK } from './work';

/** All dashboards, from what users see down to the processes. */
export const DASHBOARDS: readonly DashboardSpec[] = [RED, WORK, EXPERTS, REVISIONS, SATURATION, TRAINING];
