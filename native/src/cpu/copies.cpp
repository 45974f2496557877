#include <algorithm>

#include "units.h"

namespace dmoerm::cpu {

void embed(float* out, const uint8_t* table, TensorType type, const int32_t* tokens, int64_t T,
           int64_t C, ThreadPool& pool) {
  const int64_t row_bytes = C / block_elements(type) * block_bytes(type);
  pool.run(T, [&](int64_t t, int) { decode(out + t * C, table + tokens[t] * row_bytes, type, C); });
}

void gather(float* y, const float* x, const std::vector<int64_t>& from, int64_t width,
            ThreadPool& pool) {
  constexpr int64_t kRows = 32;
  const auto rows = static_cast<int64_t>(from.size());
  pool.run((rows + kRows - 1) / kRows, [&](int64_t task, int) {
    for (int64_t i = task * kRows; i < std::min(rows, (task + 1) * kRows); ++i)
      std::copy_n(x + from[i] * width, width, y + i * width);
  });
}

}  // namespace dmoerm::cpu
