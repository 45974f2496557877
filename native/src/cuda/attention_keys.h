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

}  // namespace dmoerm::cuda
