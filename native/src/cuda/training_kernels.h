#pragma once

// Arguments of the kernels that only training has, and what queues them. Dimension letters as in dmoerm/ops.h; what they
// do is what GradientOps says.

#include "kernels.h"

namespace dmoerm::cuda {

struct NormGradientArguments {
  Global<const float> x, dy, weight;
  Global<float> dx;      ///< (T,C), added to
  Global<float> scales;  ///< (T), 1 / sqrt(mean square + eps); may be absent
  int64_t T = 0, C = 0;
  float eps = 0;
};

void queue_norm_gradient(const NormGradientArguments& arguments, runtime::Stream stream);

struct GatedArguments {
  Global<float> gate, up;  ///< the backward pass overwrites them
  Global<float> h;         ///< written
  Global<const float> dh;
  int64_t count = 0;
};

void queue_gated_rows(const GatedArguments& arguments, runtime::Stream stream);
void queue_gated_gradient(const GatedArguments& arguments, runtime::Stream stream);

/// Sums over rows go chunk by chunk of them, each chunk's rows ascending; then chunks are added, ascending.
struct ChunkArguments {
  Global<const float> parts;  ///< (chunks, count)
  Global<float> out;          ///< (count), added to
  int64_t count = 0, chunks = 0;
};

void queue_add_chunks(const ChunkArguments& arguments, runtime::Stream stream);

/// parts (chunks, N) = sums over a chunk's rows of x, of x times y, or of that times the row's scale.
struct ColumnArguments {
  Global<const float> x, y, scales;  ///< (T,N), (T,N) and (T); y and scales may be absent
  Global<float> parts;
  int64_t T = 0, N = 0, chunk_rows = 0;
};

void queue_column_sums(const ColumnArguments& arguments, runtime::Stream stream);

/// parts (chunks, M, N) = sums over a chunk's rows of a^T b.
struct OuterArguments {
  Global<const float> a, b;
  Global<float> parts;
  int64_t a_stride = 0, b_stride = 0, M = 0, N = 0, T = 0, chunk_rows = 0;
};

/// Outputs of a block.
inline constexpr int kOuterRows = 32;
inline constexpr int kOuterColumns = 64;

void queue_outer(const OuterArguments& arguments, runtime::Stream stream);

struct TransposeArguments {
  Global<const float> x;  ///< (T,N)
  Global<float> y;        ///< (N,T)
  int64_t T = 0, N = 0;
};

void queue_transpose(const TransposeArguments& arguments, runtime::Stream stream);

struct ScatterArguments {
  Global<const float> x;  ///< (T,width)
  Global<float> y;
  Global<const int64_t> rows;  ///< (T)
  int64_t T = 0, width = 0;
};

void queue_scatter_add(const ScatterArguments& arguments, runtime::Stream stream);

/// `RowDropout` of dmoerm/gradient_ops.h.
struct DeviceDropout {
  uint32_t key, threshold;
  float scale;
};

struct DropoutArguments {
  Global<const float> x;
  Global<float> y;
  Global<const DeviceDropout> rows;
  int64_t T = 0, K = 0;
};

void queue_drop_out(const DropoutArguments& arguments, runtime::Stream stream);

/// What is done to each element.
enum class Change { kClear, kCopy, kAdd, kScale };

struct ElementArguments {
  Global<const float> x;  ///< copied or added
  Global<float> y;
  int64_t count = 0;
  float factor = 1;
};

void queue_elements(Change change, const ElementArguments& arguments, runtime::Stream stream);

struct LogprobArguments {
  Global<float> logits;  ///< (T,V)
  Global<const int32_t> targets;
  Global<const float> weights;
  Global<double> logprobs;  ///< (T), written
  int64_t T = 0, V = 0;
};

void queue_token_logprobs(const LogprobArguments& arguments, runtime::Stream stream);

struct SquaresArguments {
  Global<const float> x;
  Global<double> sums;  ///< one per block of `per_block` elements
  int64_t count = 0, per_block = 0;
};

void queue_squares(const SquaresArguments& arguments, runtime::Stream stream);

struct AdamArguments {
  Global<float> w, m, v;
  Global<const float> g;
  int64_t count = 0;
  float scale = 1, learning_rate = 0, beta1 = 0, beta2 = 0, eps = 0, decay = 0;
  float first = 1, second = 1;  ///< corrections of the moments' bias
};

void queue_adam(const AdamArguments& arguments, runtime::Stream stream);

/// Neighbouring keys that the same queries may see. What they get comes in parts, each from some of those queries, which
/// are added in order.
struct KeyTile {
  int64_t row;
  int32_t count, offset;  ///< of the first key behind the position that its visits name
  int32_t first_part, part_count;
};

/// Queries of one segment that may see a tile's keys.
struct KeyVisit {
  int64_t query_row;
  int32_t query_count, position;  ///< of the first query
  int32_t key_position;
};

/// What some visits give a tile of keys.
struct KeyPart {
  int32_t tile, first_visit, visit_count;
};

struct AttentionGradientArguments {
  Global<const QueryTile> tiles;
  Global<const DeviceSpan> spans;
  Global<const KeyTile> key_tiles;
  Global<const KeyVisit> visits;
  Global<const KeyPart> parts;
  Global<float> part_sums;  ///< (parts, H, dk and dv, keys of a tile, D)
  Global<const float> q, k, v, dout;
  Global<float> dq, dk, dv;
  Global<float>
      softmax;  ///< (query rows, H, 3): largest score, sum of terms, mean of d out v^T under them
  int32_t heads = 0, kv_heads = 0, head_dim = 0, window = 0;
  float scale = 1;
};

/// Queries, and keys, of a tile: fewer where heads are wide, so that four tiles fit into shared memory.
inline constexpr int kGradientTile = 32;
__device__ __host__ inline constexpr int gradient_tile(int64_t head_dim) {
  return head_dim <= 128 ? kGradientTile : kGradientTile / 2;
}

/// dq, and `softmax`, by tiles of queries.
void queue_query_gradient(const AttentionGradientArguments& arguments, runtime::Stream stream);
/// dk and dv, added to, by parts of tiles of keys.
void queue_key_gradient(const AttentionGradientArguments& arguments, runtime::Stream stream);

}  // namespace dmoerm::cuda
