/** Calls that trainers make of routers: what users see. */
export const PUBLIC_CALLS = 'service="router",method=~"dmoerm.reward.v1.RewardService/.+"';
/** The same without streams, whose calls last as long as their callers like. */
export const PUBLIC_UNARY = 'service="router",method=~"dmoerm.reward.v1.RewardService/(Score|BatchScore)"';
/** Codes of calls that failed through no fault of their caller; refusals of what is too much have an alert of their own. */
export const FAULTS = 'code=~"UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL|UNKNOWN|DATA_LOSS|UNIMPLEMENTED"';

/** `part / whole` where there is a whole; 0 where no part was ever counted, which has no series then. */
export function share(part: string, whole: string): string {
  return `(${part} or 0 * ${whole}) / (${whole} > 0)`;
}

/** `part / (part + rest)` where a part was ever counted, whether or not there is a rest. */
export function shareBeside(part: string, rest: string): string {
  return `${part} / (${part} + (${rest} or 0 * ${part}) > 0)`;
}

/**
 * How much counters grew in a window, where they did. A counter comes into being with its first count, which `increase` does not see:
 * one that is younger than the window counts whole.
 */
export function growth(counter: string, window: string, by: string): string {
  return `sum by (${by}) ((${counter} unless ${counter} offset ${window}) or increase(${counter}[${window}])) > 0`;
}
