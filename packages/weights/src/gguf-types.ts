import { corrupt, invalidArgument } from '@dmoerm/core';
import type { TensorType } from './types';

const READABLE: Readonly<Record<number, TensorType>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  8: 'Q8_0',
  12: 'Q4_K',
  14: 'Q6_K',
  30: 'BF16',
};
/** Types that exist but cannot be computed with here: known so that they can be refused by name. */
const UNREADABLE: Readonly<Record<number, string>> = {
  6: 'Q5_0',
  7: 'Q5_1',
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  13: 'Q5_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

/**
 * The tensor type with GGUF's number `id`.
 * @param field file and tensor, for errors.
 * @throws DmoermError INVALID_ARGUMENT, reason `UNSUPPORTED_TENSOR_TYPE`, naming the type; DATA_LOSS for an unknown number.
 */
export function ggufTensorType(field: string, id: number): TensorType {
  const type = READABLE[id];
  if (type !== undefined) return type;
  const known = UNREADABLE[id];
  if (known === undefined)
    throw corrupt(field, 'BAD_TENSOR_TYPE', `${field}: ${id} is not the number of a tensor type`);
  throw invalidArgument(
    field,
    'UNSUPPORTED_TENSOR_TYPE',
    `${field} has type ${known}; re-quantise the model with ${Object.values(READABLE).join(', ')} only`,
  );
}
