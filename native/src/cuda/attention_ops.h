#pragma once

// Ops of the table (dmoerm/ops.h) that `ops.cpp` does not have itself.

#include <cstdint>
#include <vector>

#include "dmoerm/ops.h"

namespace dmoerm::cuda {

void attention(float* out, const float* q, const float* k, const float* v, int64_t key_rows,
               const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
               RowType type, Scratch& scratch, ThreadPool& pool);
void reserve_key_values(KeyValues& store, int64_t rows, const AttentionShape& shape,
                        Memory& memory);
void keep(KeyValues& store, const float* k, const float* v, const std::vector<KvSpan>& to,
          const AttentionShape& shape, RowType type, ThreadPool& pool);
void attention_over(float* out, const float* q, const KeyValues& kept,
                    const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
                    RowType type, Scratch& scratch, ThreadPool& pool);

/// y[i] <- x[from[i]], or y[to[i]] <- x[i], rows of `width`; `x_rows` and `y_rows` are there.
void copy_rows(float* y, int64_t y_rows, const float* x, int64_t x_rows,
               const std::vector<int64_t>& from, const std::vector<int64_t>& to, int64_t width,
               ThreadPool& pool);

}  // namespace dmoerm::cuda
