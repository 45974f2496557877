#pragma once

#include "dmoerm/ops.h"

namespace dmoerm::cpu {

// Packing is memory movement, the same for every unit without bfloat16 pairs.
void pack_matrix(PackedMatrix& out, const float* weight, int64_t N, int64_t K, WeightType type,
                 ThreadPool& pool);
void pack_rows(PackedRows& out, const float* x, int64_t K, const std::vector<RowGroup>& groups,
               WeightType type, ThreadPool& pool);

/// Divides groups into panels and makes room for `bytes_per_row` bytes a row; the data is not
/// written.
void plan_panels(PackedRows& out, int64_t K, const std::vector<RowGroup>& groups, WeightType type,
                 int64_t bytes_per_row);

/// Rotation is a few per mille of the work: one plain version serves every unit.
void rope(float* x, const int32_t* positions, const float* cosines, const float* sines, int64_t T,
          int64_t heads, int64_t head_dim, ThreadPool& pool);

/// Nearest bfloat16, ties to even; NaN stays NaN.
uint16_t to_bf16(float value);
float from_bf16(uint16_t bits);

}  // namespace dmoerm::cpu
