#pragma once

#include "dmoerm/gradient_ops.h"

namespace dmoerm::cpu {

// Plain loops over rows and elements, for every unit; see GradientOps.

void sum_rows(float* out, const float* x, int64_t T, int64_t N, ThreadPool& pool);
void scatter_add(float* to, int64_t to_rows, const float* from, const std::vector<int64_t>& rows,
                 int64_t width, ThreadPool& pool);
void drop_out(float* to, const float* from, const std::vector<RowDropout>& rows, int64_t K,
              ThreadPool& pool);
void clear(float* x, int64_t count, ThreadPool& pool);
void copy(float* to, const float* from, int64_t count, ThreadPool& pool);
void add(float* y, const float* x, int64_t count, ThreadPool& pool);
void scale(float* x, float factor, int64_t count, ThreadPool& pool);
std::vector<double> token_logprobs(float* logits, int64_t V, const std::vector<int32_t>& targets,
                                   const std::vector<float>& weights, ThreadPool& pool);
std::vector<double> squares(const float* x, int64_t count, ThreadPool& pool);

}  // namespace dmoerm::cpu
