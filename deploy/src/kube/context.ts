import type { Report } from '../report';
import type { KubeApi } from './api';
import type { PodWatch } from './pods';
import type { Release } from './release';

/** What every check works with. */
export interface Context {
  readonly api: KubeApi;
  readonly release: Release;
  readonly pods: PodWatch;
  readonly report: Report;
}
