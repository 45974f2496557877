import type { Conversations } from './conversations';
import type { Mesh } from './mesh';
import type { Prometheus } from './prometheus';
import { send, type Traffic } from './traffic';
import { until } from './until';

const SEEN_MS = 60_000;

/** What conditions are made in. */
export interface World {
  readonly folder: string;
  readonly bundle: string;
  readonly conversations: Conversations;
  readonly prometheus: Prometheus;
  readonly mesh: Mesh;
  /** Where spans go; null: there is no collector. */
  readonly otlpEndpoint: string | null;
  /** When that began which is being looked at, milliseconds. */
  readonly since: number;
}

/** Sends conversations of all tasks for some seconds, or others. */
export function traffic(world: World, options: Partial<Traffic> = {}): ReturnType<typeof send> {
  return send(world.mesh, world.otlpEndpoint, { items: world.conversations.mixed, ...options });
}

/** Waits until Prometheus has answers to a query. */
export async function seen({ prometheus }: World, query: string, withinMs = SEEN_MS): Promise<boolean> {
  const ask = async (): Promise<true | null> => ((await prometheus.query(query)).length > 0 ? true : null);
  return (await until(ask, withinMs)) !== null;
}

/** Waits until an alert's condition holds, or has held for a moment since `world.since`. */
export function alerted(world: World, alert: string, withinMs = SEEN_MS): Promise<boolean> {
  const { prometheus, since } = world;
  const ask = async (): Promise<true | null> => {
    const window = Math.max(1, Math.floor((Date.now() - since) / 1e3));
    const held = await prometheus.query(`max_over_time(ALERTS{alertname="${alert}"}[${window}s])`);
    return held.length > 0 ? true : null;
  };
  return until(ask, withinMs).then((found) => found !== null);
}
