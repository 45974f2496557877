#pragma once

// The kernels' arguments, and what queues them. Dimension letters as in dmoerm/ops.h.

#include "language.h"
#include "runtime.h"

namespace dmoerm::cuda {

/// Rows of a panel: the height of a product's tile.
inline constexpr int kPanelRows = 64;

/// Packed rows and weights lie in tiles of so many bytes of each row, padded with zeros: what a tensor-core product of Hopper
/// reads, and one copy brings.
inline constexpr int kTileBytes = 128;
/// A step along K of the other products.
inline constexpr int kStepBytes = 64;
/// Weights have a multiple of so many rows; those beyond the matrix mean nothing.
inline constexpr int kRowAlign = 8;

/// Where byte `byte` of a row lies, of `rows` rows that are packed together: a tile's chunks of 16 bytes change places from
/// row to row, so that eight rows' same chunks lie in different banks of shared memory.
__device__ __host__ inline constexpr int64_t packed_at(int64_t rows, int64_t row, int64_t byte) {
  return (byte / kTileBytes * rows + row) * kTileBytes +
         ((byte / 16 % (kTileBytes / 16)) ^ (row % kRowAlign)) * 16 + byte % 16;
}

/// Two neighbouring elements in bfloat16.
__device__ __forceinline__ uint32_t packed_pair(float low, float high) {
  return static_cast<uint32_t>(to_bf16(low)) | static_cast<uint32_t>(to_bf16(high)) << 16;
}

/// Rows that are packed together with those of a matrix of N.
__device__ __host__ inline constexpr int64_t packed_rows(int64_t N) {
  return (N + kRowAlign - 1) / kRowAlign * kRowAlign;
}

/// `Panel` of dmoerm/ops.h.
struct DevicePanel {
  int32_t row, count, group, source;
};

/// Two neighbouring panels of a group, or its last one.
struct DevicePair {
  int32_t panel, count;
};

/// A weight matrix, packed, its elements in the rows' type; no rows: none.
struct DeviceMatrix {
  Global<const uint8_t> data;
  int32_t rows = 0;
  int32_t steps = 0;           ///< of kStepBytes that a row fills
  Global<const float> scales;  ///< 8 bits: one per row
};

/// The up half of LoRA of one group.
struct DeviceUp {
  DeviceMatrix b;
  int32_t offset_bytes = 0;  ///< into a row of u, a multiple of kStepBytes
};

/// Packed rows: panel p's lie together, at (p - first) * kPanelRows * row_bytes.
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

/// Weights of nothing, for a side that a step of the other leaves alone.
inline constexpr int kZeroBytes = 128 * kTileBytes;

/// One output of a product.
struct ProductSide {
  DeviceMatrix w;               ///< the same for all groups; none: low-rank terms only
  Global<const float> bias;     ///< may be absent
  Global<const DeviceUp> lora;  ///< by group; may be absent
};

/// Products over panels; `first_panel` is the index of the first.
struct ProductArguments {
  Global<const DevicePanel> panels;
  Global<const DevicePair> pairs;  ///< of the panels, where they are multiplied by twos
  int32_t first_panel = 0;
  int64_t N = 0;  ///< outputs
  DeviceRows x, u;
  ProductSide side[2];                  ///< gated: gate and up; else the first alone
  Global<const DeviceMatrix> by_group;  ///< down: the weights
  Global<float> y;                      ///< (T,N) from row `first_row` on
  int64_t first_row = 0;
  bool accumulate = false;
  Global<uint8_t> packed;       ///< instead of y: packed rows, of panel `first_panel` on
  Global<const uint8_t> zeros;  ///< kZeroBytes; gated
  int64_t packed_row_bytes = 0;
};

/// y = x w^T + u b^T + bias, or added to y.
void queue_linear(Element element, const ProductArguments& arguments, runtime::Stream stream);
/// The same on GPUs of compute capability 9.0, in bfloat16: see product_hopper.cu. The sums are others.
void queue_hopper_linear(const ProductArguments& arguments, runtime::Stream stream);
void queue_hopper_gated(const ProductArguments& arguments, runtime::Stream stream);
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
  Global<const uint8_t> packed_k, packed_v;  ///< instead of k and v on tensor cores
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

/// Elements of a head of packed keys or values: (rows, kv_heads, this) in bfloat16, padded with zeros.
__device__ __host__ inline constexpr int padded_head(int head_dim) {
  return (head_dim + 15) / 16 * 16;
}

struct PackKeysArguments {
  Global<const float> k, v;  ///< (T, kv_heads, head_dim)
  Global<const int64_t> to;  ///< (T) rows of the packed ones; absent: the same
  Global<uint8_t> packed_k, packed_v;
  int64_t T = 0;
  int32_t kv_heads = 0, head_dim = 0;
};

void queue_pack_keys(const PackKeysArguments& arguments, runtime::Stream stream);

/// Tiles of at most kQueryTile queries.
void queue_attention(const AttentionArguments& arguments, runtime::Stream stream);
/// Tiles of at most kTensorRows / (heads / kv_heads) queries.
void queue_tensor_attention(const AttentionArguments& arguments, runtime::Stream stream);

}  // namespace dmoerm::cuda
