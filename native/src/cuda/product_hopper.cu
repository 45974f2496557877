// Products in bfloat16 on Hopper's tensor cores, which read whole tiles from shared memory (wgmma) while one more warp has
// the next ones brought (cp.async.bulk). A block computes two panels with the same adapter, each by a warpgroup, times the same
// columns. Low-rank terms are more steps here too. A row's sums take their steps in order, whatever the panel beside it;
// that the width of tiles leaves an output's bits alone is tested on the GPU.

#include "kernels.h"
#include "launch.h"

namespace dmoerm::cuda {
namespace {

constexpr int kPanels = 2;  // of a block; each has a warpgroup
constexpr int kGroupThreads = 128;
constexpr int kThreads = kPanels * kGroupThreads + 32;
constexpr int kPanelBytes = kPanelRows * kTileBytes;
constexpr int kTileSlices = kTileBytes / 32;  // a slice is a product's depth, 16 elements
constexpr int kStepSlices = kStepBytes / 32;
/// Neighbouring blocks share columns of so many pairs of panels, so that what they read stays in the second-level cache.
constexpr int kBand = 8;

/// Columns of a block and its stages in shared memory; of a gated product half the columns are each side's.
template <int kColumns, bool kGated>
struct Shape {
  static constexpr int kSides = kGated ? 2 : 1;
  static constexpr int kSideColumns = kColumns / kSides;
  static constexpr int kStageBytes = kPanels * kPanelBytes + kColumns * kTileBytes;
  /// One wide tile fills a processor's shared memory, two of the others.
  static constexpr int kStages = (kColumns == 256 ? 192 : 96) * 1024 / kStageBytes;
  static constexpr int kBarriers = kStages * kStageBytes;  ///< full ones, then empty ones
  static constexpr int kSharedBytes = kBarriers + 2 * kStages * 8;
};

/// A stage in turn, and the parity of its phase.
template <int kStages>
struct Ring {
  int stage = 0, parity = 0;

  __device__ __forceinline__ void advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

/// What a block multiplies, step by step: the base's tiles, then low-rank steps of each side and panel.
template <int kColumns, bool kGated>
struct Work {
  using S = Shape<kColumns, kGated>;

  const ProductArguments& a;
  int first_panel, first_column;
  DevicePanel panels[kPanels];
  DeviceMatrix w[S::kSides];
  DeviceUp up[S::kSides];
  int tiles;  ///< of the base

  __device__ __forceinline__ explicit Work(const ProductArguments& arguments) : a(arguments) {
    const int pairs = static_cast<int>(a.pairs.size);
    const int columns = static_cast<int>(gridDim.x) / pairs;
    const int band = static_cast<int>(blockIdx.x) / (kBand * columns);
    const int within = static_cast<int>(blockIdx.x) % (kBand * columns);
    const int high = pairs - band * kBand < kBand ? pairs - band * kBand : kBand;
    const DevicePair pair = a.pairs.load(band * kBand + within % high);
    first_panel = pair.panel;
    first_column = within / high * S::kSideColumns;
    panels[0] = a.panels.load(first_panel);
    panels[1] = a.panels.load(first_panel + pair.count - 1);
    if (pair.count == 1) panels[1].count = 0;
    tiles = 0;
#pragma unroll
    for (int s = 0; s < S::kSides; ++s) {
      w[s] = a.side[s].w;
      tiles = (w[s].steps * kStepBytes + kTileBytes - 1) / kTileBytes;
      if (a.side[s].lora.present()) up[s] = a.side[s].lora.load(panels[0].group);
    }
  }

  /// step(side, number) of each low-rank term in order.
  template <class Step>
  __device__ __forceinline__ void low_rank_steps(Step step) const {
#pragma unroll
    for (int side = 0; side < S::kSides; ++side)
      for (int i = 0; i < up[side].b.steps; ++i) step(side, i);
  }

  /// Rows of a matrix that the block's columns of one side meet.
  __device__ __forceinline__ int rows_of(const DeviceMatrix& matrix) const {
    const int left = static_cast<int>(packed_rows(matrix.rows)) - first_column;
    return left < 0 ? 0 : left < S::kSideColumns ? left : S::kSideColumns;
  }
};

/// The warp that has tiles brought; one of its lanes works.
template <int kColumns, bool kGated>
__device__ __forceinline__ void bring_tiles(const Work<kColumns, kGated>& work,
                                            const Shared<uint8_t>& memory,
                                            const PhaseBarriers& barriers) {
  using S = Shape<kColumns, kGated>;
  Ring<S::kStages> ring;
  bool first_round = true;
  /// Where the weights of a column lie: behind the panels.
  const auto columns_at = [&](int column) {
    return ring.stage * S::kStageBytes + kPanels * kPanelBytes + column * kTileBytes;
  };
  const auto copy_rows = [&](const DeviceRows& rows, int panel, int slot, int tile) {
    const int64_t from = static_cast<int64_t>(slot - rows.first) * kPanelRows * rows.row_bytes;
    barriers.copy(ring.stage, memory, ring.stage * S::kStageBytes + panel * kPanelBytes, rows.data,
                  from + tile * kPanelBytes, work.panels[panel].count * kTileBytes);
  };
  const auto copy_columns = [&](const DeviceMatrix& matrix, int first, int tile) {
    const int64_t from =
        (tile * packed_rows(matrix.rows) + work.first_column) * static_cast<int64_t>(kTileBytes);
    const int bytes = work.rows_of(matrix) * kTileBytes;
    if (bytes > 0) barriers.copy(ring.stage, memory, columns_at(first), matrix.data, from, bytes);
  };
  const auto begin = [&](int rows) {
    if (!first_round) barriers.wait(S::kStages + ring.stage, ring.parity ^ 1);
    barriers.expect(ring.stage, rows * kTileBytes);
  };
  const auto end = [&] {
    ring.advance();
    first_round = first_round && ring.stage > 0;
  };
  const auto copy_both = [&](const DeviceRows& rows, int first, int second, int tile) {
    copy_rows(rows, 0, first, tile);
    if (work.panels[1].count > 0) copy_rows(rows, 1, second, tile);
  };
  const int rows = work.panels[0].count + work.panels[1].count;
  for (int tile = 0; tile < work.tiles; ++tile) {
    int columns = 0;
#pragma unroll
    for (int s = 0; s < S::kSides; ++s) columns += work.rows_of(work.w[s]);
    begin(rows + columns);
    copy_both(work.a.x, work.panels[0].source, work.panels[1].source, tile);
#pragma unroll
    for (int s = 0; s < S::kSides; ++s) copy_columns(work.w[s], s * S::kSideColumns, tile);
    end();
  }
  work.low_rank_steps([&](int side, int step) {
    const DeviceUp& up = work.up[side];
    // A side's low-rank steps add nothing to the other.
    begin(rows + work.rows_of(up.b) + (S::kSides - 1) * S::kSideColumns);
    const int slot = work.first_panel + work.a.first_panel;
    copy_both(work.a.u, slot, slot + 1, (up.offset_bytes + step * kStepBytes) / kTileBytes);
    copy_columns(up.b, side * S::kSideColumns, step * kStepBytes / kTileBytes);
    if (kGated)
      barriers.copy(ring.stage, memory, columns_at((1 - side) * S::kSideColumns), work.a.zeros, 0,
                    S::kSideColumns * kTileBytes);
    end();
  });
}

/// A warpgroup's products of its own panel with the tiles, as they come.
template <int kColumns, bool kGated>
__device__ __forceinline__ void multiply(float (&sums)[kColumns / 2],
                                         const Work<kColumns, kGated>& work, int own,
                                         const Shared<uint8_t>& memory,
                                         const PhaseBarriers& barriers) {
  using S = Shape<kColumns, kGated>;
  Ring<S::kStages> ring;
  const auto arrive = [&](int stage) {
    if (threadIdx.x % 32 == 0) barriers.arrive(S::kStages + stage);
  };
  // The base's steps overlap: a stage may be filled anew when the products behind its own have begun.
  int before = -1, tile = 0;
  do {
    barriers.wait(ring.stage, ring.parity);
    const int x = ring.stage * S::kStageBytes + own * kPanelBytes;
    const int w = ring.stage * S::kStageBytes + kPanels * kPanelBytes;
    open_products();
#pragma unroll
    for (int slice = 0; slice < kTileSlices; ++slice)
      multiply_add_tiles<kColumns>(sums, memory, x, slice, w, slice);
    close_products();
    wait_products<1>();
    if (before >= 0) arrive(before);
    before = ring.stage;
    ring.advance();
  } while (++tile < work.tiles);
  wait_products<0>();
  arrive(before);

  work.low_rank_steps([&](int side, int step) {
    barriers.wait(ring.stage, ring.parity);
    const int x = ring.stage * S::kStageBytes + own * kPanelBytes;
    const int w = ring.stage * S::kStageBytes + kPanels * kPanelBytes;
    const int bytes = work.up[side].offset_bytes + step * kStepBytes;
    const int x_slice = bytes % kTileBytes / 32, w_slice = step * kStepBytes % kTileBytes / 32;
    open_products();
#pragma unroll
    for (int slice = 0; slice < kStepSlices; ++slice)
      multiply_add_tiles<kColumns>(sums, memory, x, x_slice + slice, w, w_slice + slice);
    close_products();
    wait_products<0>();
    arrive(ring.stage);
    ring.advance();
  });
}

constexpr float kLog2E = 1.44269504f;

/// Its result is rounded to bfloat16, or no better than that by what it is made of. 0 where e^-x is beyond 2^126, as its true value nearly is.
__device__ __forceinline__ float silu(float x) {
  return fast_divide(x, 1.0f + fast_exp2(-kLog2E * x));
}

/// Two neighbouring outputs of a row.
__device__ __forceinline__ void store_pair(const ProductArguments& a, int64_t row, int n, float low,
                                           float high) {
  const int64_t at = (row - a.first_row) * a.N + n;
  if (a.N % 2 == 0) {
    if (n >= a.N) return;
    if (a.accumulate) {
      const auto sum = a.y.template load_as<float2>(at);
      low = sum.x + low;
      high = sum.y + high;
    }
    a.y.store_as(at, float2{low, high});
    return;
  }
  if (n < a.N) a.y.store(at, a.accumulate ? a.y.load(at) + low : low);
  if (n + 1 < a.N) a.y.store(at + 1, a.accumulate ? a.y.load(at + 1) + high : high);
}

/// Four lanes with the same row have a pair each of four neighbouring blocks of 8 columns. Afterwards each has a block.
__device__ __forceinline__ void gather_blocks(uint32_t (&pairs)[4], int lane) {
#pragma unroll
  for (int apart = 1; apart <= 2; apart *= 2)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if ((i & apart) != 0) continue;
      const bool upper = (lane & apart) != 0;
      const uint32_t got = __shfl_xor_sync(0xffffffffu, upper ? pairs[i] : pairs[i + apart], apart);
      pairs[i] = upper ? got : pairs[i];
      pairs[i + apart] = upper ? pairs[i + apart] : got;
    }
}

template <int kColumns, bool kGated>
__global__ void __launch_bounds__(kThreads)
    hopper_product_kernel(const __grid_constant__ ProductArguments a) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDACC__)
  using S = Shape<kColumns, kGated>;
  const Work<kColumns, kGated> work(a);
  const Shared<uint8_t> memory(0, S::kBarriers);
  const PhaseBarriers barriers(S::kBarriers, 2 * S::kStages);
  if (threadIdx.x == 0) {
    for (int i = 0; i < S::kStages; ++i) {
      barriers.initialise(i, 1);
      barriers.initialise(S::kStages + i, kPanels * kGroupThreads / 32);
    }
    barriers.publish();
  }
  __syncthreads();
  const int own = warp_uniform(threadIdx.x / kGroupThreads);
  if (own == kPanels) {
    if (threadIdx.x % 32 == 0) bring_tiles(work, memory, barriers);
    return;
  }
  float sums[kColumns / 2];
#pragma unroll
  for (float& sum : sums) sum = 0.0f;
  multiply(sums, work, own, memory, barriers);

  const int warp = threadIdx.x % kGroupThreads / 32, lane = threadIdx.x % 32;
  const DevicePanel panel = own == 0 ? work.panels[0] : work.panels[1];
  /// Output `i` of a pair, of a block of columns and half of the warp's rows.
  const auto output = [&](int half, int block, int i) {
    const int n = work.first_column + block * 8 + lane % 4 * 2 + i;
    const int at = block * 4 + half * 2 + i;
    const auto biased = [&](float sum, int side) {
      return a.side[side].bias.present() && n < a.N ? sum + a.side[side].bias.load(n) : sum;
    };
    if constexpr (kGated) return silu(biased(sums[at], 0)) * biased(sums[kColumns / 4 + at], 1);
    return biased(sums[at], 0);
  };
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int r = warp * 16 + half * 8 + lane / 4;
    if (kGated && a.packed.present()) {
#pragma unroll
      for (int first = 0; first < S::kSideColumns / 8; first += 4) {
        uint32_t pairs[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int n = work.first_column + (first + i) * 8 + lane % 4 * 2;
          pairs[i] = packed_pair(n < a.N ? output(half, first + i, 0) : 0.0f,
                                 n + 1 < a.N ? output(half, first + i, 1) : 0.0f);
        }
        gather_blocks(pairs, lane);
        const int64_t byte = (work.first_column + (first + lane % 4) * 8) * 2;
        if (r < panel.count && byte < a.packed_row_bytes)
          a.packed.store_as(
              static_cast<int64_t>(work.first_panel + own) * kPanelRows * a.packed_row_bytes +
                  packed_at(kPanelRows, r, byte),
              uint4{pairs[0], pairs[1], pairs[2], pairs[3]});
      }
      continue;
    }
    if (r >= panel.count) continue;
#pragma unroll
    for (int block = 0; block < S::kSideColumns / 8; ++block)
      store_pair(a, panel.row + r, work.first_column + block * 8 + lane % 4 * 2,
                 output(half, block, 0), output(half, block, 1));
  }
#endif
}

/// Tiles that cover a side's columns.
template <int kColumns, bool kGated>
int64_t tiles_of(int64_t columns) {
  constexpr int kSideColumns = Shape<kColumns, kGated>::kSideColumns;
  return (columns + kSideColumns - 1) / kSideColumns;
}

/// What the processor with the most tiles has to do, in wide tiles: a narrow one takes more than its share.
template <int kColumns, bool kGated>
double work_of(const ProductArguments& a, int64_t columns) {
  static const int processors = runtime::properties().processors;
  constexpr double kEach = kColumns == 256 ? 1.0 : kColumns == 128 ? 0.55 : 0.3;
  const int64_t tiles = a.pairs.size * tiles_of<kColumns, kGated>(columns);
  return kEach * static_cast<double>((tiles + processors - 1) / processors);
}

template <int kColumns, bool kGated>
void launch_product(const char* name, const ProductArguments& a, int64_t columns,
                    runtime::Stream stream) {
  using S = Shape<kColumns, kGated>;
  const int64_t tiles = a.pairs.size * tiles_of<kColumns, kGated>(columns);
  launch(name, hopper_product_kernel<kColumns, kGated>,
         {static_cast<uint32_t>(tiles), 1, kThreads, S::kSharedBytes}, a, stream);
}

}  // namespace

// Wide tiles read the least, narrow ones keep more processors busy. The bits are the same.

void queue_hopper_linear(const ProductArguments& a, runtime::Stream stream) {
  const double wide = work_of<256, false>(a, a.N), middle = work_of<128, false>(a, a.N),
               narrow = work_of<64, false>(a, a.N);
  if (wide <= middle && wide <= narrow)
    launch_product<256, false>("hopper linear 256", a, a.N, stream);
  else if (middle <= narrow)
    launch_product<128, false>("hopper linear 128", a, a.N, stream);
  else
    launch_product<64, false>("hopper linear 64", a, a.N, stream);
}

void queue_hopper_gated(const ProductArguments& a, runtime::Stream stream) {
  const int64_t columns = a.packed.present() ? a.packed_row_bytes / 2 : a.N;
  if (work_of<256, true>(a, columns) <= work_of<128, true>(a, columns))
    launch_product<256, true>("hopper gated 256", a, columns, stream);
  else
    launch_product<128, true>("hopper gated 128", a, columns, stream);
}

}  // namespace dmoerm::cuda
