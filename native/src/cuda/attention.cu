// Attention of a tile of queries of one segment, one head: keys come in tiles of fixed positions, whichever spans they
// lie in, so that a query's sums do not depend on how its prompt is shared. Softmax runs along (Milakov and Gimelshein,
// arXiv 1805.02867; Dao, arXiv 2307.08691).

#include "attention_keys.h"
#include "kernels.h"
#include "launch.h"
#include "warp.h"

namespace dmoerm::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarpSize;
constexpr int kKeyTile = kWarpSize;  // a lane per key
constexpr int kRowsPerWarp = kQueryTile / kWarps;

/// Shared memory: queries, then keys (values after them, in their place), scores, the keys' rows.
struct Layout {
  int stride;  ///< floats from row to row: odd, so that lanes on different rows meet different banks

  __device__ __host__ explicit Layout(int head_dim) : stride(head_dim | 1) {}
  __device__ __host__ int keys() const { return kQueryTile * stride * 4; }
  __device__ __host__ int scores() const { return keys() + kKeyTile * stride * 4; }
  __device__ __host__ int rows() const { return scores() + kQueryTile * kKeyTile * 4; }
  __device__ __host__ int bytes() const { return rows() + kKeyTile * 4; }
};

/// `kColumns` times 32 columns hold a head. A warp has eight queries; for scores a lane has a key, for sums of values it
/// has every 32nd column.
template <int kColumns>
__global__ void __launch_bounds__(kThreads)
    attention_kernel(const __grid_constant__ AttentionArguments a) {
  const QueryTile tile = a.tiles.load(blockIdx.x);
  const int head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads);
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const Layout layout(a.head_dim);
  const Shared<float> queries(0, kQueryTile * layout.stride);
  const Shared<float> keys(layout.keys(), kKeyTile * layout.stride);
  const Shared<float> scores(layout.scores(), kQueryTile * kKeyTile);
  const Shared<int32_t> rows(layout.rows(), kKeyTile);

  for (int i = threadIdx.x; i < tile.count * a.head_dim; i += kThreads) {
    const int row = i / a.head_dim, c = i % a.head_dim;
    queries.store(row * layout.stride + c,
                  a.q.load(((tile.row + row) * a.heads + head) * a.head_dim + c));
  }
  float largest[kRowsPerWarp], total[kRowsPerWarp], sums[kRowsPerWarp][kColumns];
  for (int r = 0; r < kRowsPerWarp; ++r) {
    largest[r] = -INFINITY;
    total[r] = 0.0f;
    for (int j = 0; j < kColumns; ++j) sums[r][j] = 0.0f;
  }

  const int end = tile.position + tile.count;  // after the last key that any query sees
  const int begin = a.window > 0 && tile.position + 1 > a.window ? tile.position + 1 - a.window : 0;
  for (int first = begin / kKeyTile * kKeyTile; first < end; first += kKeyTile) {
    const int count = end - first < kKeyTile ? end - first : kKeyTile;
    if (static_cast<int>(threadIdx.x) < count)
      rows.store(threadIdx.x, key_row(a, tile, first + threadIdx.x));
    __syncthreads();  // the rows are there, and nobody reads the last tile's values any more
    load_keys(keys, a.k, rows, count, a.kv_heads, kv_head, a.head_dim, layout.stride, kThreads);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kRowsPerWarp; ++r) {
      const int row = warp * kRowsPerWarp + r;
      if (row >= tile.count) break;
      const int position = tile.position + row;
      const bool seen = lane < count && first + lane <= position &&
                        (a.window == 0 || first + lane > position - a.window);
      float score = -INFINITY;
      if (seen) {
        float sum = 0.0f;
        for (int c = 0; c < a.head_dim; ++c)
          sum =
              fmaf(queries.load(row * layout.stride + c), keys.load(lane * layout.stride + c), sum);
        score = sum * a.scale;
      }
      const float most = fmaxf(warp_max(score), largest[r]);
      // A tile that shows a query nothing leaves its sums as they are.
      const bool any =
          first <= position && (a.window == 0 || first + count > position - a.window + 1);
      const float keep = any ? expf(largest[r] - most) : 1.0f;
      const float weight = seen ? expf(score - most) : 0.0f;
      const float weights = warp_sum(weight);
      largest[r] = most;
      total[r] = fmaf(total[r], keep, weights);
      for (int j = 0; j < kColumns; ++j) sums[r][j] *= keep;
      scores.store(row * kKeyTile + lane, weight);
    }
    __syncthreads();  // nobody reads the keys any more
    load_keys(keys, a.v, rows, count, a.kv_heads, kv_head, a.head_dim, layout.stride, kThreads);
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kRowsPerWarp; ++r) {
      const int row = warp * kRowsPerWarp + r;
      if (row >= tile.count) break;
      const SeenKeys seen(tile.position + row, first, count, a.window);
      for (int key = seen.low; key < seen.high; ++key) {
        const float weight = scores.load(row * kKeyTile + key);
#pragma unroll
        for (int j = 0; j < kColumns; ++j) {
          const int c = lane + j * kWarpSize;
          if (c < a.head_dim)
            sums[r][j] = fmaf(weight, keys.load(key * layout.stride + c), sums[r][j]);
        }
      }
    }
    __syncthreads();  // the rows and scores may be overwritten
  }
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    const int row = warp * kRowsPerWarp + r;
    if (row >= tile.count) break;
    for (int j = 0; j < kColumns; ++j) {
      const int c = lane + j * kWarpSize;
      if (c < a.head_dim)
        a.out.store(((tile.row + row) * a.heads + head) * a.head_dim + c, sums[r][j] / total[r]);
    }
  }
}

}  // namespace

void queue_attention(const AttentionArguments& a, runtime::Stream stream) {
  const Grid grid{static_cast<uint32_t>(a.tile_count), static_cast<uint32_t>(a.heads), kThreads,
                  Layout(a.head_dim).bytes()};
  if (a.head_dim <= 32)
    launch("attention 32", attention_kernel<1>, grid, a, stream);
  else if (a.head_dim <= 64)
    launch("attention 64", attention_kernel<2>, grid, a, stream);
  else if (a.head_dim <= 128)
    launch("attention 128", attention_kernel<4>, grid, a, stream);
  else
    launch("attention 256", attention_kernel<8>, grid, a, stream);
}

}  // namespace dmoerm::cuda
