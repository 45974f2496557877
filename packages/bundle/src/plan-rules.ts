import { corrupt } from '@dmoerm/core';
import type { LoraAdapter, ModelConfig } from '@dmoerm/weights';
import type { BundleTask } from './manifest';

/**
 * Whether a capability's adapter computes under a sharing plan what it was trained for: an activated LoRA (one with invocation tokens)
 * acts on its tokens alone, which is the plan `readout` and no other; `top_layers` computes nothing below its fork.
 * @param name what the error calls the adapter
 * @throws DmoermError DATA_LOSS, reason `PLAN_MISMATCH` or `ADAPTER_BELOW_FORK`, with what would work.
 */
export function checkPlan(
  name: string,
  adapter: LoraAdapter,
  plan: BundleTask['plan'],
  { layerCount }: ModelConfig,
): void {
  const field = `${name}: alora_invocation_tokens`;
  if (plan.type === 'readout' && adapter.invocationTokens === null)
    throw corrupt(
      field,
      'PLAN_MISMATCH',
      `${name} is an ordinary LoRA (no alora_invocation_tokens), which acts on all tokens; the task's plan readout is for activated ` +
        'ones: train it with alora_invocation_tokens, or use a task with the plan full',
    );
  if (plan.type !== 'readout' && adapter.invocationTokens !== null)
    throw corrupt(
      field,
      'PLAN_MISMATCH',
      `${name} is an activated LoRA (alora_invocation_tokens), which acts on its tokens alone; the task's plan ${plan.type} is for ` +
        'ordinary ones: use a task with the plan readout',
    );
  if (plan.type !== 'top_layers') return;
  const lowest = Math.min(...adapter.modules.map(({ layer }) => layer));
  if (lowest < layerCount - plan.layers)
    throw corrupt(
      name,
      'ADAPTER_BELOW_FORK',
      `${name} acts on layer ${lowest}, below the top ${plan.layers} of ${layerCount} layers that the plan adapts; train it with ` +
        `layers_to_transform from ${layerCount - plan.layers} on, or use a task with the plan full`,
    );
}
