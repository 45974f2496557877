import type { ScoreOptions } from '@dmoerm/client';
import { invalidArgument } from '@dmoerm/core';
import type { Truncation } from '@dmoerm/core';

/** How to score, as bodies and query parameters say it. */
export interface OptionFields {
  readonly task?: string;
  readonly routing?: 'top_1' | 'soft';
  readonly aggregation?: 'learned' | 'mean' | 'worst_case' | 'uncertainty_weighted';
  readonly lambda?: number;
  readonly truncation?: Truncation;
  readonly revision?: string;
  readonly capabilities?: readonly string[];
  readonly priority?: 'normal' | 'background';
}

/** Of `uncertainty_weighted`, if none is given. */
const DEFAULT_LAMBDA = 0.5;

/** @throws DmoermError INVALID_ARGUMENT for fields that contradict each other. */
export function toOptions(fields: OptionFields): ScoreOptions {
  const { task, routing, aggregation, lambda, truncation, revision, capabilities, priority } = fields;
  if (task !== undefined && routing !== undefined)
    throw invalidArgument('routing', 'CONFLICTING_OPTIONS', 'task names the task already; leave routing out');
  if (lambda !== undefined && aggregation !== 'uncertainty_weighted')
    throw invalidArgument(
      'lambda',
      'CONFLICTING_OPTIONS',
      'lambda is for the aggregation uncertainty_weighted only; leave it out',
    );
  return {
    ...(routing !== undefined && { routing: { type: routing } }),
    ...(task !== undefined && { routing: { type: 'forced', task } }),
    ...(aggregation !== undefined && {
      aggregation:
        aggregation === 'uncertainty_weighted'
          ? { type: aggregation, lambda: lambda ?? DEFAULT_LAMBDA }
          : { type: aggregation },
    }),
    ...(truncation !== undefined && { truncation }),
    ...(revision !== undefined && { revision }),
    ...(capabilities !== undefined && { capabilities }),
    ...(priority !== undefined && { priority }),
  };
}
