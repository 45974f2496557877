#pragma once

#include "dmoerm/ops.h"

namespace dmoerm::cpu {

/// How a unit lays packed matrices and rows out. A *step* is what one multiply instruction takes of
/// a row in 4 bytes: one float32, two bfloat16 or four 8-bit inputs.
///
/// Step s of column c of a weight panel is the s * kPanelCols + c -th element (4 bytes; 2 where
/// bfloat16 does not come in pairs). Step s of row r of a row panel is the 4-byte element
/// ((s / run) * rows + r) * run + s % run.
/// A kInt8 weight panel ends with its 32 scales (float32) and 32 corrections (int32, 128 times the
/// sum of the column's weights, because rows are stored with 128 added).
struct Layout {
  int64_t rows;           ///< Ops::panel_rows
  bool bf16_pairs;        ///< bfloat16 weights in pairs, and rows that meet them in bfloat16
  int64_t run;            ///< neighbouring steps of a row; 16 for AMX tiles, else 1
  int64_t step_multiple;  ///< steps are padded with 0 to a multiple of this
};

/// Inputs per step of weights of `type`.
int64_t step_inputs(const Layout& layout, WeightType type);
/// Steps of a row or column of K inputs, padding included.
int64_t step_count(const Layout& layout, WeightType type, int64_t K);
/// Bytes of a weight panel.
int64_t weight_panel_bytes(const Layout& layout, WeightType type, int64_t K);
/// The weight type whose steps a row type matches.
WeightType weights_for(RowType type);
/// The row type that weights of `type` ask for.
RowType rows_for(const Layout& layout, WeightType type);
/// Bytes of a row panel.
int64_t row_panel_bytes(const Layout& layout, RowType type, int64_t K);

// Plain versions, for every layout.
void pack_matrix(Matrix& out, const float* weight, int64_t N, int64_t K, WeightType type,
                 const Layout& layout, ThreadPool& pool);
void pack_rows(PackedRows& out, RowType type, const float* x, int64_t K,
               const std::vector<Panel>& panels, int64_t begin, int64_t end, const RmsNorm& norm,
               const Layout& layout, ThreadPool& pool);

/// Inputs that are rotated together.
int64_t rotation_block(int64_t K);
/// Signs of the inputs of a block, +1 or -1.
const float* rotation_signs();
/// Rotates a row of K inputs in place, without the factor 1 / sqrt(block); weights carry both factors in
/// their scales.
void rotate(float* x, int64_t K);

/// Makes room for a packed matrix; the data is not written.
void reserve_matrix(Matrix& out, int64_t N, int64_t K, WeightType type, const Layout& layout);

/// Makes room for panels [begin, end); the data is not written.
void reserve_rows(PackedRows& out, RowType type, int64_t K, int64_t begin, int64_t end,
                  const Layout& layout);

/// Rows n of a stored matrix as they lie in the file: where RoPE's pairs are neighbours there, row
/// (i, i + D/2) is taken from (2i, 2i + 1).
int64_t stored_row(const Matrix& w, int64_t n);

/// Rotation is a few per mille of the work: one plain version serves every unit.
void rope(float* x, const int32_t* positions, const float* cosines, const float* sines, int64_t T,
          int64_t heads, int64_t head_dim, ThreadPool& pool);

// Copies of rows, for every unit.
void embed(float* out, const uint8_t* table, TensorType type, const int32_t* tokens, int64_t T,
           int64_t C, ThreadPool& pool);
void gather(float* y, const float* x, const std::vector<int64_t>& from, int64_t width,
            ThreadPool& pool);

/// Nearest bfloat16, ties to even; NaN stays NaN.
uint16_t to_bf16(float value);
float from_bf16(uint16_t bits);

}  // namespace dmoerm::cpu
