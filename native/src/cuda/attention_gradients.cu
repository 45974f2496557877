// The backward pass of attention, in float32: first d q by tiles of queries, which also leaves each query's softmax, then
// d k and d v by tiles of keys (the two halves of Dao, arXiv 2307.08691, without atomic additions). A prompt's keys may be
// seen by all the queries there are: they come in parts of so many queries and one head, which are added in a fixed order.

#include "attention_keys.h"
#include "launch.h"
#include "training_kernels.h"
#include "warp.h"

namespace dmoerm::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarpSize;

/// Shared memory of both kernels: four tiles of rows at most, then what a pair of query and key has.
template <int kTile>
struct Layout {
  int stride;  ///< floats from row to row: odd, so that lanes on different rows meet different banks

  __device__ __host__ explicit Layout(int head_dim) : stride(head_dim | 1) {}
  __device__ __host__ int tile(int i) const { return i * kTile * stride * 4; }
};

/// Neighbouring rows (of `heads` heads) to shared memory.
__device__ __forceinline__ void load_rows(const Shared<float>& to, const Global<const float>& from,
                                          int64_t first, int count, int heads, int head,
                                          int head_dim, int stride) {
  for (int i = threadIdx.x; i < count * head_dim; i += kThreads) {
    const int row = i / head_dim, c = i % head_dim;
    to.store(row * stride + c, from.load(((first + row) * heads + head) * head_dim + c));
  }
}

__device__ __forceinline__ float dot(const Shared<float>& x, int i, const Shared<float>& y, int j,
                                     int count) {
  float sum = 0.0f;
  for (int c = 0; c < count; ++c) sum = fmaf(x.load(i + c), y.load(j + c), sum);
  return sum;
}

/// Whether the query at a position sees the key at another.
__device__ __forceinline__ bool sees(int query, int key, int window) {
  return key <= query && (window == 0 || key > query - window);
}

/// A lane per key: tiles of keys have as many as a warp has lanes. A warp has some queries, and for sums over keys every
/// 32nd column of them. `kColumns` times 32 columns hold a head.
template <int kColumns>
__global__ void __launch_bounds__(kThreads)
    query_gradient_kernel(const __grid_constant__ AttentionGradientArguments a) {
  constexpr int kTile = gradient_tile(kColumns * kWarpSize);
  constexpr int kRowsPerWarp = kTile / kWarps;
  const QueryTile tile = a.tiles.load(blockIdx.x);
  const int head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads);
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const Layout<kTile> layout(a.head_dim);
  const Shared<float> queries(0, kTile * layout.stride);
  const Shared<float> douts(layout.tile(1), kTile * layout.stride);
  const Shared<float> keys(layout.tile(2), kWarpSize * layout.stride);
  const int after = layout.tile(2) + kWarpSize * layout.stride * 4;
  const Shared<float> scores(after, kTile * kWarpSize);
  const Shared<int32_t> rows(after + kTile * kWarpSize * 4, kWarpSize);
  load_rows(queries, a.q, tile.row, tile.count, a.heads, head, a.head_dim, layout.stride);
  load_rows(douts, a.dout, tile.row, tile.count, a.heads, head, a.head_dim, layout.stride);

  float largest[kRowsPerWarp], total[kRowsPerWarp], mean[kRowsPerWarp], dp[kRowsPerWarp];
  float sums[kRowsPerWarp][kColumns];
  for (int r = 0; r < kRowsPerWarp; ++r) {
    largest[r] = -INFINITY;
    total[r] = 0.0f;
    mean[r] = 0.0f;
    for (int j = 0; j < kColumns; ++j) sums[r][j] = 0.0f;
  }
  const int end = tile.position + tile.count;  // after the last key that any query sees
  const int begin = a.window > 0 && tile.position + 1 > a.window ? tile.position + 1 - a.window : 0;
  // Over the keys twice: softmax and its mean first, with them the derivative by each score.
  for (int round = 0; round < 2; ++round) {
    for (int first = begin / kWarpSize * kWarpSize; first < end; first += kWarpSize) {
      const int count = end - first < kWarpSize ? end - first : kWarpSize;
      if (static_cast<int>(threadIdx.x) < count)
        rows.store(threadIdx.x, key_row(a, tile, first + threadIdx.x));
      __syncthreads();  // the rows are there, and nobody reads the last tile's keys any more
      load_keys(keys, a.v, rows, count, a.kv_heads, kv_head, a.head_dim, layout.stride, kThreads);
      __syncthreads();
#pragma unroll
      for (int r = 0; r < kRowsPerWarp; ++r) {
        const int row = warp * kRowsPerWarp + r;
        const bool seen =
            row < tile.count && lane < count && sees(tile.position + row, first + lane, a.window);
        dp[r] =
            seen ? dot(douts, row * layout.stride, keys, lane * layout.stride, a.head_dim) : 0.0f;
      }
      __syncthreads();  // nobody reads the values any more
      load_keys(keys, a.k, rows, count, a.kv_heads, kv_head, a.head_dim, layout.stride, kThreads);
      __syncthreads();
#pragma unroll
      for (int r = 0; r < kRowsPerWarp; ++r) {
        const int row = warp * kRowsPerWarp + r;
        if (row >= tile.count) break;
        const int position = tile.position + row;
        const bool seen = lane < count && sees(position, first + lane, a.window);
        const float score =
            seen ? dot(queries, row * layout.stride, keys, lane * layout.stride, a.head_dim) *
                       a.scale
                 : -INFINITY;
        if (round == 0) {
          const float most = fmaxf(warp_max(score), largest[r]);
          // A tile that shows a query nothing leaves its sums as they are.
          const bool any = most > -INFINITY;
          const float keep = any ? expf(largest[r] - most) : 1.0f;
          const float weight = seen ? expf(score - most) : 0.0f;
          largest[r] = most;
          total[r] = fmaf(total[r], keep, warp_sum(weight));
          mean[r] = fmaf(mean[r], keep, warp_sum(weight * dp[r]));
          continue;
        }
        const float p = seen ? expf(score - largest[r]) / total[r] : 0.0f;
        scores.store(row * kWarpSize + lane, p * (dp[r] - mean[r]) * a.scale);
        __syncwarp();
        const SeenKeys own(position, first, count, a.window);
        for (int key = own.low; key < own.high; ++key) {
          const float ds = scores.load(row * kWarpSize + key);
#pragma unroll
          for (int j = 0; j < kColumns; ++j) {
            const int c = lane + j * kWarpSize;
            if (c < a.head_dim)
              sums[r][j] = fmaf(ds, keys.load(key * layout.stride + c), sums[r][j]);
          }
        }
      }
      __syncthreads();  // the rows and keys may be overwritten
    }
    if (round == 0)
#pragma unroll
      for (int r = 0; r < kRowsPerWarp; ++r) mean[r] /= total[r];
  }
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    const int row = warp * kRowsPerWarp + r;
    if (row >= tile.count) break;
    const int64_t at = (tile.row + row) * a.heads + head;
    for (int j = 0; j < kColumns; ++j) {
      const int c = lane + j * kWarpSize;
      if (c < a.head_dim) a.dq.store(at * a.head_dim + c, sums[r][j]);
    }
    if (lane == 0) {
      a.softmax.store(3 * at, largest[r]);
      a.softmax.store(3 * at + 1, total[r]);
      a.softmax.store(3 * at + 2, mean[r]);
    }
  }
}

/// A lane per query. A warp has some keys, and for sums over queries every 32nd column of them.
template <int kColumns>
__global__ void __launch_bounds__(kThreads, 2)
    key_gradient_kernel(const __grid_constant__ AttentionGradientArguments a) {
  constexpr int kTile = gradient_tile(kColumns * kWarpSize);
  constexpr int kRowsPerWarp = kTile / kWarps;
  const KeyPart part = a.parts.load(blockIdx.x);
  const KeyTile tile = a.key_tiles.load(part.tile);
  const int head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads);
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const Layout<kTile> layout(a.head_dim);
  const Shared<float> keys(0, kTile * layout.stride);
  const Shared<float> values(layout.tile(1), kTile * layout.stride);
  const Shared<float> queries(layout.tile(2), kTile * layout.stride);
  const Shared<float> douts(layout.tile(3), kTile * layout.stride);
  const Shared<float> weights(layout.tile(4), kTile * kTile);
  const Shared<float> derivatives(layout.tile(4) + kTile * kTile * 4, kTile * kTile);
  load_rows(keys, a.k, tile.row, tile.count, a.kv_heads, kv_head, a.head_dim, layout.stride);
  load_rows(values, a.v, tile.row, tile.count, a.kv_heads, kv_head, a.head_dim, layout.stride);

  float dk[kRowsPerWarp][kColumns], dv[kRowsPerWarp][kColumns];
  for (int r = 0; r < kRowsPerWarp; ++r)
    for (int j = 0; j < kColumns; ++j) {
      dk[r][j] = 0.0f;
      dv[r][j] = 0.0f;
    }
  for (int visit = 0; visit < part.visit_count; ++visit) {
    const KeyVisit own = a.visits.load(part.first_visit + visit);
    const int key_position = own.key_position + tile.offset;  // of the tile's first
    // Queries from the first that sees the first key to the last that sees the last one.
    const int low = key_position > own.position ? key_position - own.position : 0;
    const int seen_by = key_position + tile.count - 1 + a.window - own.position;
    const int high = a.window > 0 && seen_by < own.query_count ? seen_by : own.query_count;
    for (int first = low; first < high; first += kTile) {
      const int count = high - first < kTile ? high - first : kTile;
      load_rows(queries, a.q, own.query_row + first, count, a.heads, head, a.head_dim,
                layout.stride);
      load_rows(douts, a.dout, own.query_row + first, count, a.heads, head, a.head_dim,
                layout.stride);
      __syncthreads();
      const int position = own.position + first;
      const int64_t at = (own.query_row + first + lane) * a.heads + head;
      const float largest = lane < count ? a.softmax.load(3 * at) : 0.0f;
      const float total = lane < count ? a.softmax.load(3 * at + 1) : 1.0f;
      const float mean = lane < count ? a.softmax.load(3 * at + 2) : 0.0f;
#pragma unroll
      for (int r = 0; r < kRowsPerWarp; ++r) {
        const int row = warp * kRowsPerWarp + r;
        if (row >= tile.count) break;
        const int key = key_position + row;
        if (lane < count && sees(position + lane, key, a.window)) {
          const float score =
              dot(queries, lane * layout.stride, keys, row * layout.stride, a.head_dim) * a.scale;
          const float dp =
              dot(douts, lane * layout.stride, values, row * layout.stride, a.head_dim);
          const float p = expf(score - largest) / total;
          weights.store(row * kTile + lane, p);
          derivatives.store(row * kTile + lane, p * (dp - mean) * a.scale);
        }
        __syncwarp();
        const int begin = key > position ? key - position : 0;
        const int last =
            a.window > 0 && key + a.window - position < count ? key + a.window - position : count;
        for (int i = begin; i < last; ++i) {
          const float p = weights.load(row * kTile + i);
          const float ds = derivatives.load(row * kTile + i);
#pragma unroll
          for (int j = 0; j < kColumns; ++j) {
            const int c = lane + j * kWarpSize;
            if (c >= a.head_dim) continue;
            dv[r][j] = fmaf(p, douts.load(i * layout.stride + c), dv[r][j]);
            dk[r][j] = fmaf(ds, queries.load(i * layout.stride + c), dk[r][j]);
          }
        }
      }
      __syncthreads();  // the queries may be overwritten
    }
  }
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * a.heads + head) * 2 * kTile;
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    const int row = warp * kRowsPerWarp + r;
    if (row >= tile.count) break;
    for (int j = 0; j < kColumns; ++j) {
      const int c = lane + j * kWarpSize;
      if (c >= a.head_dim) continue;
      a.part_sums.store((first + row) * a.head_dim + c, dk[r][j]);
      a.part_sums.store((first + kTile + row) * a.head_dim + c, dv[r][j]);
    }
  }
}

/// Adds what the parts of a tile of keys gave, part by part, in each the heads that share its head.
__global__ void __launch_bounds__(kThreads)
    add_parts_kernel(const __grid_constant__ AttentionGradientArguments a) {
  const KeyTile tile = a.key_tiles.load(blockIdx.x);
  const int kv_head = blockIdx.y, group = a.heads / a.kv_heads;
  const int64_t rows = gradient_tile(a.head_dim);
  for (int i = threadIdx.x; i < tile.count * a.head_dim; i += kThreads) {
    float dk = 0.0f, dv = 0.0f;
    for (int part = tile.first_part; part < tile.first_part + tile.part_count; ++part)
      for (int head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const int64_t at =
            (static_cast<int64_t>(part) * a.heads + head) * 2 * rows * a.head_dim + i;
        dk += a.part_sums.load(at);
        dv += a.part_sums.load(at + rows * a.head_dim);
      }
    const int64_t at =
        ((tile.row + i / a.head_dim) * a.kv_heads + kv_head) * a.head_dim + i % a.head_dim;
    a.dk.store(at, a.dk.load(at) + dk);
    a.dv.store(at, a.dv.load(at) + dv);
  }
}

template <int kColumns>
void launch_query_gradient(const char* name, const AttentionGradientArguments& a,
                           runtime::Stream stream) {
  constexpr int kTile = gradient_tile(kColumns * kWarpSize);
  const Layout<kTile> layout(a.head_dim);
  const Grid grid{
      static_cast<uint32_t>(a.tiles.size), static_cast<uint32_t>(a.heads), kThreads,
      layout.tile(2) + kWarpSize * layout.stride * 4 + kTile * kWarpSize * 4 + kWarpSize * 4};
  launch(name, query_gradient_kernel<kColumns>, grid, a, stream);
}

template <int kColumns>
void launch_key_gradient(const char* name, const AttentionGradientArguments& a,
                         runtime::Stream stream) {
  constexpr int kTile = gradient_tile(kColumns * kWarpSize);
  const Grid grid{static_cast<uint32_t>(a.parts.size), static_cast<uint32_t>(a.heads), kThreads,
                  Layout<kTile>(a.head_dim).tile(4) + 2 * kTile * kTile * 4};
  launch(name, key_gradient_kernel<kColumns>, grid, a, stream);
}

}  // namespace

void queue_query_gradient(const AttentionGradientArguments& a, runtime::Stream stream) {
  if (a.head_dim <= 32)
    launch_query_gradient<1>("query gradient 32", a, stream);
  else if (a.head_dim <= 64)
    launch_query_gradient<2>("query gradient 64", a, stream);
  else if (a.head_dim <= 128)
    launch_query_gradient<4>("query gradient 128", a, stream);
  else
    launch_query_gradient<8>("query gradient 256", a, stream);
}

void queue_key_gradient(const AttentionGradientArguments& a, runtime::Stream stream) {
  if (a.head_dim <= 32)
    launch_key_gradient<1>("key gradient 32", a, stream);
  else if (a.head_dim <= 64)
    launch_key_gradient<2>("key gradient 64", a, stream);
  else if (a.head_dim <= 128)
    launch_key_gradient<4>("key gradient 128", a, stream);
  else
    launch_key_gradient<8>("key gradient 256", a, stream);
  launch("add parts", add_parts_kernel,
         {static_cast<uint32_t>(a.key_tiles.size), static_cast<uint32_t>(a.kv_heads), kThreads, 0},
         a, stream);
}

}  // namespace dmoerm::cuda
