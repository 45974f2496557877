#pragma once

// The kernels' arguments, and what queues them. Dimension letters as in dmoerm/ops.h.

#include "language.h"
#include "runtime.h"

namespace dmoerm::cuda {

/// Rows of a panel: the height of a product's tile.
inline constexpr int kPanelRows = 64;

/// Packed rows and weights are padded with zeros to a multiple of this many bytes, a product's step along K.
inline constexpr int kStepBytes = 64;

/// `Panel` of dmoerm/ops.h.
struct DevicePanel {
  int32_t row, count, group, source;
};

/// A weight matrix (rows, row_bytes), its elements in the rows' type; no rows: none.
struct DeviceMatrix {
  Global<const uint8_t> data;
  int64_t row_bytes = 0;
  int32_t rows = 0;
  Global<const float> scales;  ///< 8 bits: one per row
};

/// The up half of LoRA of one group.
struct DeviceUp {
  DeviceMatrix b;
  int32_t offset_bytes = 0;  ///< into a row of u
  int32_t steps = 0;
};

/// Packed rows: panel p lies at (p - first) * kPanelRows * row_bytes.
struct DeviceRows {
  Global<const uint8_t> data;
  int64_t row_bytes = 0;
  int32_t first = 0;
  Global<const float> scales;  ///< 8 bits: one per row of each panel
};

/// Of rows and of the weights that they meet. Low-rank terms beside 8 bits are bfloat16.
enum class Element { kF32, kBF16, kInt8 };

__device__ __host__ inline constexpr int element_bytes(Element element) {
  return element == Element::kF32 ? 4 : element == Element::kBF16 ? 2 : 1;
}

/// One output of a product.
struct ProductSide {
  DeviceMatrix w;               ///< the same for all groups; none: low-rank terms only
  Global<const float> bias;     ///< may be absent
  Global<const DeviceUp> lora;  ///< by group; may be absent
};

/// Products over panels; `first_panel` is the index of the first.
struct ProductArguments {
  Global<const DevicePanel> panels;
  int32_t first_panel = 0;
  int64_t N = 0;  ///< outputs
  DeviceRows x, u;
  ProductSide side[2];                  ///< gated: gate and up; else the first alone
  Global<const DeviceMatrix> by_group;  ///< down: the weights
  Global<float> y;                      ///< (T,N) from row `first_row` on
  int64_t first_row = 0;
  bool accumulate = false;
  Global<uint8_t> packed;  ///< instead of y: packed rows, of panel `first_panel` on
  int64_t packed_row_bytes = 0;
};

/// y = x w^T + u b^T + bias, or added to y.
void queue_linear(Element element, const ProductArguments& arguments, runtime::Stream stream);
/// silu(gate) * up.
void queue_gated(Element element, const ProductArguments& arguments, runtime::Stream stream);
/// packed = x a^T with a by group.
void queue_lora_down(Element element, const ProductArguments& arguments, runtime::Stream stream);

/// Rows (T,C) normalised, or packed, or both.
struct NormArguments {
  Global<const float> x;
  int64_t T = 0, C = 0;
  Global<const float> weight;  ///< (C); absent: rows stay as they are
  float eps = 0;
  Global<float> y;  ///< (T,C), may be x
  Global<const DevicePanel> panels;
  int32_t first_panel = 0;  ///< packed: index of the first
  Global<uint8_t> packed;
  int64_t packed_row_bytes = 0;
  Global<const float> signs;  ///< 8 bits: of a block's rotation
  int32_t rotated = 1;   ///< elements of such a block, a power of two up to kMostRotated; 1: none
  Global<float> scales;  ///< 8 bits: by packed row
};

void queue_rms_norm(const NormArguments& arguments, runtime::Stream stream);
void queue_pack_rows(Element element, const NormArguments& arguments, runtime::Stream stream);

struct RopeArguments {
  Global<float> x;  ///< (T, heads * D)
  Global<const int32_t> positions;
  Global<const float> cosines, sines;  ///< (positions, D/2)
  int64_t T = 0;
  int32_t heads = 0, head_dim = 0;
};

void queue_rope(const RopeArguments& arguments, runtime::Stream stream);

struct SoftmaxArguments {
  Global<const float> x;
  Global<float> out;
  int64_t T = 0, N = 0;
  float scale = 1;
};

void queue_softmax_terms(const SoftmaxArguments& arguments, runtime::Stream stream);

/// y[i, :] = x[from[i], :], or y[to[i], :] = x[i, :].
struct CopyArguments {
  Global<const float> x;
  Global<float> y;
  Global<const int64_t> from, to;  ///< one of them is absent
  int64_t T = 0, width = 0;
};

void queue_copy_rows(const CopyArguments& arguments, runtime::Stream stream);

struct EmbedArguments {
  Global<const uint8_t> table;  ///< (V,C)
  Global<const int32_t> tokens;
  Global<float> out;  ///< (T,C)
  int64_t T = 0, C = 0;
};

/// Rows of a table of float32 or bfloat16.
void queue_embed(Element element, const EmbedArguments& arguments, runtime::Stream stream);

/// `KvSpan` of dmoerm/ops.h and the position of its first key.
struct DeviceSpan {
  int64_t row;
  int32_t count, position;
};

/// Some neighbouring queries of one segment.
struct QueryTile {
  int64_t row;  ///< first
  int32_t count, position;
  int32_t first_span, span_count;
};

struct AttentionArguments {
  Global<const QueryTile> tiles;
  Global<const DeviceSpan> spans;
  Global<const float> q, k, v;
  Global<float> out;
  int32_t tile_count = 0;
  int32_t heads = 0, kv_heads = 0, head_dim = 0, window = 0;
  float scale = 1;
};

/// Most queries of a tile in float32.
inline constexpr int kQueryTile = 32;
/// Rows of a tile on tensor cores: queries times the heads that share a key head.
inline constexpr int kTensorRows = 64;
/// Widest head that the kernels hold.
inline constexpr int kWidestHead = 256;

/// Tiles of at most kQueryTile queries.
void queue_attention(const AttentionArguments& arguments, runtime::Stream stream);
/// Tiles of at most kTensorRows / (heads / kv_heads) queries.
void queue_tensor_attention(const AttentionArguments& arguments, runtime::Stream stream);

}  // namespace dmoerm::cuda
