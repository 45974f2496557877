#include "training_rows.h"

#include <algorithm>
#include <cmath>

namespace dmoerm::cpu {
namespace {

template <class Body>
void over_blocks(int64_t count, int64_t block, ThreadPool& pool, Body body) {
  pool.run((count + block - 1) / block,
           [&](int64_t task, int) { body(task * block, std::min(count, (task + 1) * block)); });
}

constexpr int64_t kElements = 1 << 14;

}  // namespace

void sum_rows(float* out, const float* x, int64_t T, int64_t N, ThreadPool&) {
  for (int64_t t = 0; t < T; ++t)
    for (int64_t n = 0; n < N; ++n) out[n] += x[t * N + n];
}

void scatter_add(float* to, int64_t, const float* from, const std::vector<int64_t>& rows,
                 int64_t width, ThreadPool&) {
  for (size_t i = 0; i < rows.size(); ++i)
    for (int64_t c = 0; c < width; ++c)
      to[rows[i] * width + c] += from[static_cast<int64_t>(i) * width + c];
}

void drop_out(float* to, const float* from, const std::vector<RowDropout>& rows, int64_t K,
              ThreadPool& pool) {
  pool.run(static_cast<int64_t>(rows.size()), [&](int64_t t, int) {
    const RowDropout row = rows[t];
    for (int64_t k = 0; k < K; ++k) {
      uint32_t h = row.key + static_cast<uint32_t>(k) * 0x9e3779b9u;
      h = (h ^ (h >> 16)) * 0x85ebca6bu;
      h = (h ^ (h >> 13)) * 0xc2b2ae35u;
      h ^= h >> 16;
      to[t * K + k] = h < row.threshold ? 0.0f : from[t * K + k] * row.scale;
    }
  });
}

void clear(float* x, int64_t count, ThreadPool& pool) {
  over_blocks(count, kElements, pool,
              [&](int64_t begin, int64_t end) { std::fill(x + begin, x + end, 0.0f); });
}

void copy(float* to, const float* from, int64_t count, ThreadPool& pool) {
  over_blocks(count, kElements, pool,
              [&](int64_t begin, int64_t end) { std::copy(from + begin, from + end, to + begin); });
}

void add(float* y, const float* x, int64_t count, ThreadPool& pool) {
  over_blocks(count, kElements, pool, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] += x[i];
  });
}

void scale(float* x, float factor, int64_t count, ThreadPool& pool) {
  over_blocks(count, kElements, pool, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) x[i] *= factor;
  });
}

std::vector<double> token_logprobs(float* logits, int64_t V, const std::vector<int32_t>& targets,
                                   const std::vector<float>& weights, ThreadPool& pool) {
  const auto T = static_cast<int64_t>(targets.size());
  std::vector<double> logprobs(T);
  pool.run(T, [&](int64_t t, int) {
    float* row = logits + t * V;
    const auto weight = static_cast<double>(weights[t]);
    const float most = *std::max_element(row, row + V);
    const float own = row[targets[t]];
    double sum = 0;
    for (int64_t v = 0; v < V; ++v) {
      row[v] = std::exp(row[v] - most);
      sum += static_cast<double>(row[v]);
    }
    const auto scale = static_cast<float>(weight / sum);
    for (int64_t v = 0; v < V; ++v) row[v] *= scale;
    row[targets[t]] -= static_cast<float>(weight);
    logprobs[t] = static_cast<double>(own - most) - std::log(sum);
  });
  return logprobs;
}

std::vector<double> squares(const float* x, int64_t count, ThreadPool& pool) {
  std::vector<double> sums((count + kSquaresBlock - 1) / kSquaresBlock);
  over_blocks(count, kSquaresBlock, pool, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += static_cast<double>(x[i]) * x[i];
    sums[begin / kSquaresBlock] = sum;
  });
  return sums;
}

}  // namespace dmoerm::cpu
