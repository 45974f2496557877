#pragma once

#include "kernels.h"

namespace dmoerm::cuda {

/// Row of the key at a position that a tile's queries see: segments have few spans.
template <class Arguments>
__device__ __forceinline__ int32_t key_row(const Arguments& a, const QueryTile& tile,
                                           int position) {
  int s = tile.span_count - 1;
  while (s > 0 && position < a.spans.load(tile.first_span + s).position) --s;
  const DeviceSpan span = a.spans.load(tile.first_span + s);
  return static_cast<int32_t>(span.row) + position - span.position;
}

/// Rows of keys or values by index to shared memory, `stride` floats apart, by `threads` threads.
__device__ __forceinline__ void load_keys(const Shared<float>& to, const Global<const float>& from,
                                          const Shared<int32_t>& rows, int count, int kv_heads,
                                          int head, int head_dim, int stride, int threads) {
  for (int i = threadIdx.x; i < count * head_dim; i += threads) {
    const int row = i / head_dim, c = i % head_dim;
    to.store(row * stride + c,
             from.load((static_cast<int64_t>(rows.load(row)) * kv_heads + head) * head_dim + c));
  }
}

/// The keys [low, high) of a tile that a query sees: what is not finite beyond them is not its own.
struct SeenKeys {
  int low, high;

  __device__ __forceinline__ SeenKeys(int position, int first, int count, int window)
      : low(window > 0 && position + 1 - window > first ? position + 1 - window - first : 0),
        high(position + 1 - first < count ? position + 1 - first : count) {}
};

}  // namespace dmoerm::cuda
