import { invalidArgument } from '@dmoerm/core';
import { toJson } from './answer';
import type { Dialect } from './dialect';
import { splitText } from './text-split';

interface InferRequest {
  readonly id?: string;
  readonly inputs: readonly [
    { readonly shape: readonly number[]; readonly data: readonly (string | readonly [string])[] },
  ];
}

/** The Open Inference Protocol with JSON tensors: `sentences` to `rewards`. */
export const INFER: Dialect<InferRequest> = {
  operationId: 'infer',
  items: ({ inputs: [{ shape, data }] }, options) => {
    const [count, width = 1] = shape;
    if (count !== data.length || width !== 1)
      throw invalidArgument(
        'inputs[0].shape',
        'BAD_REQUEST',
        `the shape of ${data.length} sentences is [${data.length}] or [${data.length}, 1]`,
      );
    return data.map((one) => {
      const { prompt, response } = splitText(typeof one === 'string' ? one : one[0], '');
      return { prompt: { type: 'text', text: prompt }, candidates: [response], options };
    });
  },
  field: (_, i) => `inputs[0].data[${i}]`,
  answer: (rewards, _, { id }) =>
    toJson({
      model_name: 'reward_model',
      model_version: rewards[0]?.revision ?? '',
      ...(id !== undefined && { id }),
      outputs: [
        {
          name: 'rewards',
          datatype: 'FP32',
          shape: [rewards.length, 1],
          data: rewards.map(({ score }) => Math.fround(score.reward)),
        },
      ],
    }),
};
