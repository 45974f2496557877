#pragma once

#include "language.h"

namespace dmoerm::cuda {

inline constexpr int kWarpSize = 32;

/// Of all lanes, in a fixed order; every lane gets it.
__device__ __forceinline__ float warp_sum(float value) {
  for (int mask = kWarpSize / 2; mask > 0; mask /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, mask);
  return value;
}

__device__ __forceinline__ float warp_max(float value) {
  for (int mask = kWarpSize / 2; mask > 0; mask /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, mask));
  return value;
}

}  // namespace dmoerm::cuda
