// Every kernel of the CUDA back end against the roofline of the GPU at hand: the lower of its measured tensor-core (or
// float32) rate times the operations, and its measured bandwidth times the bytes that must move. Prints JSON lines, the
// records of `npm run bench`. Without a GPU it says so.
//
// Products come beside cuBLAS's where its library is found (LD_LIBRARY_PATH). `host_us` is what queueing took the host:
// below `us` the host is ahead, and a graph of the launches would gain nothing.
//
// gpu_bench [--quick | --limits]; the last prints the GPU's own limits alone.

#include <cuda_runtime.h>
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "cuda/backend.h"
#include "cuda/device.h"
#include "dmoerm/error.h"
#include "dmoerm/gradient_ops.h"
#include "dmoerm/ops.h"

namespace {

using namespace dmoerm;

constexpr int kRounds = 5;
constexpr double kSecondsPerRound = 0.05;

void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

// ---- the GPU's own limits ----

constexpr int kPeakThreads = 256;
constexpr int kPeakSteps = 4096;
constexpr int kChains = 8;  // independent products per warp, to hide their latency

/// Chains of products whose sums are `Sum`: float of bfloat16, int32_t of 8 bits.
template <class Sum>
__global__ void tensor_peak(float* out) {
  Sum sums[kChains][4] = {};
  const uint32_t a[4] = {threadIdx.x, 1, 2, 3};
  const uint32_t b[2] = {threadIdx.x, 5};
  for (int step = 0; step < kPeakSteps; ++step)
#pragma unroll
    for (int chain = 0; chain < kChains; ++chain) cuda::multiply_add(sums[chain], a, b);
  float total = 0;
  for (const auto& chain : sums)
    for (const Sum sum : chain) total += static_cast<float>(sum);
  out[blockIdx.x * kPeakThreads + threadIdx.x] = total;
}

__global__ void float_peak(float* out) {
  float sums[4 * kChains];
  for (int i = 0; i < 4 * kChains; ++i) sums[i] = static_cast<float>(threadIdx.x + i);
  const float factor = 1.0f / static_cast<float>(threadIdx.x + 2);
  for (int step = 0; step < kPeakSteps; ++step)
#pragma unroll
    for (float& sum : sums) sum = fmaf(sum, factor, 1.0f);
  float total = 0;
  for (const float sum : sums) total += sum;
  out[blockIdx.x * kPeakThreads + threadIdx.x] = total;
}

/// A stream with one engine's memory, and its clock.
class Bench {
 public:
  Bench() : memory_(ops.open()), pool(1, *memory_) {
    stream_ = static_cast<cudaStream_t>(static_cast<cuda::Device&>(*memory_).stream());
    check(cudaEventCreate(&begin_));
    check(cudaEventCreate(&end_));
  }

  /// Median seconds of `work`.
  double seconds(const std::function<void()>& work) {
    work();  // allocates, loads code
    int repeats = 1;
    double taken = timed(work, repeats);
    repeats = static_cast<int>(std::clamp(kSecondsPerRound / taken, 1.0, 1e5));
    std::vector<double> rounds;
    for (int i = 0; i < kRounds; ++i) rounds.push_back(timed(work, repeats) / repeats);
    std::sort(rounds.begin(), rounds.end());
    return rounds[kRounds / 2];
  }

  /// Median seconds that queueing `work` takes the host.
  double host_seconds(const std::function<void()>& work) {
    constexpr int kCalls = 20;  // which fit into the queue
    std::vector<double> rounds;
    for (int i = 0; i < kRounds; ++i) {
      check(cudaStreamSynchronize(stream_));
      const auto begin = std::chrono::steady_clock::now();
      for (int call = 0; call < kCalls; ++call) work();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
      rounds.push_back(taken.count() / kCalls);
    }
    check(cudaStreamSynchronize(stream_));
    std::sort(rounds.begin(), rounds.end());
    return rounds[kRounds / 2];
  }

  /// `count` uniform numbers on the device.
  Buffer<float> random(int64_t count) {
    std::mt19937 generator(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> values(count);
    for (float& value : values) value = uniform(generator);
    Buffer<float> there;
    there.reserve(count, *memory_);
    memory_->write(there.data(), values.data(), count * static_cast<int64_t>(sizeof(float)));
    return there;
  }

  Memory& memory() { return *memory_; }
  cudaStream_t stream() const { return stream_; }

  const Ops& ops = *cuda::find_ops();
  const GradientOps& gradients = *cuda::find_gradients();

 private:
  std::unique_ptr<Memory> memory_;
  cudaStream_t stream_;
  cudaEvent_t begin_, end_;

 public:
  ThreadPool pool;
  Scratch scratch;

 private:
  double timed(const std::function<void()>& work, int repeats) {
    check(cudaEventRecord(begin_, stream_));
    for (int i = 0; i < repeats; ++i) work();
    check(cudaEventRecord(end_, stream_));
    check(cudaEventSynchronize(end_));
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin_, end_));
    return std::max(1e-7, milliseconds / 1e3);
  }
};

/// cuBLAS as far as it is needed, from the library that is installed, if one is. Its matrices are column-major.
class Cublas {
 public:
  Cublas() {
    for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11"})
      if (library_ == nullptr) library_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) return;
    const auto create = reinterpret_cast<int (*)(void**)>(dlsym(library_, "cublasCreate_v2"));
    multiply_ = reinterpret_cast<Multiply>(dlsym(library_, "cublasGemmEx"));
    set_stream_ =
        reinterpret_cast<int (*)(void*, cudaStream_t)>(dlsym(library_, "cublasSetStream_v2"));
    if (create == nullptr || multiply_ == nullptr || set_stream_ == nullptr ||
        create(&handle_) != 0)
      handle_ = nullptr;
  }

  bool present() const { return handle_ != nullptr; }

  /// y (M,N) = x (M,K) w (N,K)^T; x and w in bfloat16, y in float32.
  void multiply(float* y, const void* x, const void* w, int M, int N, int K,
                cudaStream_t stream) const {
    constexpr int kTransposed = 1, kPlain = 0, kFloat32 = 0, kBFloat16 = 14, kCompute32 = 68;
    const float one = 1, none = 0;
    set_stream_(handle_, stream);
    if (multiply_(handle_, kTransposed, kPlain, N, M, K, &one, w, kBFloat16, K, x, kBFloat16, K,
                  &none, y, kFloat32, N, kCompute32, -1) != 0)
      throw std::runtime_error("cuBLAS failed");
  }

 private:
  using Multiply = int (*)(void*, int, int, int, int, int, const void*, const void*, int, int,
                           const void*, int, int, const void*, void*, int, int, int, int);
  void* library_ = nullptr;
  void* handle_ = nullptr;
  Multiply multiply_ = nullptr;
  int (*set_stream_)(void*, cudaStream_t) = nullptr;
};

/// Per second.
struct Limits {
  double tensor, int8, floats, bytes;
};

Limits measure_limits(Bench& bench, const Cublas& cublas) {
  const cuda::runtime::Properties gpu = cuda::runtime::properties();
  const int blocks = gpu.processors * 8;
  Buffer<float> out;
  out.reserve(static_cast<int64_t>(blocks) * kPeakThreads, bench.memory());
  const double warps = blocks * kPeakThreads / 32.0;
  const auto of_warps = [&](void (*kernel)(float*), int depth) {
    return warps * kPeakSteps * kChains * 16 * 8 * depth * 2 /
           bench.seconds([&] { kernel<<<blocks, kPeakThreads, 0, bench.stream()>>>(out.data()); });
  };
  double tensor = of_warps(tensor_peak<float>, 16);
  if (cublas.present()) {  // whose instructions on Hopper are faster ones
    constexpr int64_t kSize = 8192;
    Buffer<float> y;
    y.reserve(kSize * kSize, bench.memory());
    const Buffer<float> x = bench.random(kSize * kSize / 2), w = bench.random(kSize * kSize / 2);
    const double seconds = bench.seconds([&] {
      cublas.multiply(y.data(), x.data(), w.data(), kSize, kSize, kSize, bench.stream());
    });
    tensor = std::max(tensor, 2.0 * kSize * kSize * kSize / seconds);
  }
  const double int8 = of_warps(tensor_peak<int32_t>, 32);
  const double floats =
      static_cast<double>(blocks) * kPeakThreads * kPeakSteps * 4 * kChains * 2 /
      bench.seconds([&] { float_peak<<<blocks, kPeakThreads, 0, bench.stream()>>>(out.data()); });
  constexpr int64_t kBytes = 512 << 20;
  Buffer<uint8_t> from, to;
  from.reserve(kBytes, bench.memory());
  to.reserve(kBytes, bench.memory());
  const double bytes = 2.0 * kBytes / bench.seconds([&] {
    check(
        cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, bench.stream()));
  });
  return {tensor, int8, floats, bytes};
}

// ---- kernels ----

void report(const std::string& name, double seconds, double operations, double rate, double bytes,
            double bandwidth, double host_seconds = 0) {
  const double bound = std::max(operations / rate, bytes / bandwidth);
  std::printf(
      "{\"bench\":\"gpu\",\"case\":\"%s\",\"parameters\":{\"us\":%.1f,\"tflops\":%.1f,\"gb_per_s\":"
      "%.0f,\"host_us\":%.1f,\"bound\":\"%s\"},"
      "\"metric\":\"share of roofline\",\"unit\":\"1\",\"value\":%.3f}\n",
      name.c_str(), seconds * 1e6, operations / seconds / 1e12, bytes / seconds / 1e9,
      host_seconds * 1e6, operations / rate > bytes / bandwidth ? "operations" : "bytes",
      bound / seconds);
  std::fflush(stdout);
}

void ratio(const std::string& name, const char* metric, double value) {
  std::printf(
      "{\"bench\":\"gpu\",\"case\":\"%s\",\"metric\":\"%s\",\"unit\":\"1\",\"value\":%.3f}\n",
      name.c_str(), metric, value);
  std::fflush(stdout);
}

/// `work` measured, of so many operations and bytes.
double measure(Bench& bench, const std::string& name, const std::function<void()>& work,
               double operations, double rate, double bytes, double bandwidth) {
  const double seconds = bench.seconds(work);
  report(name, seconds, operations, rate, bytes, bandwidth, bench.host_seconds(work));
  return seconds;
}

std::string text(const char* kernel, int64_t M, int64_t N, int64_t K) {
  return std::string(kernel) + " " + std::to_string(M) + "x" + std::to_string(N) + "x" +
         std::to_string(K);
}

/// Rows of `groups` experts, one after another, and their low-rank matrices.
struct Rows {
  std::vector<Panel> panels;

  Rows(const Ops& ops, int64_t M, int64_t groups) {
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t row = g * M / groups; row < (g + 1) * M / groups; row += ops.panel_rows)
        panels.push_back({row, std::min(ops.panel_rows, (g + 1) * M / groups - row), g,
                          static_cast<int64_t>(panels.size())});
  }
  int64_t count() const { return static_cast<int64_t>(panels.size()); }
};

/// The products of a layer: plain, with the adapters of five experts, the adapters' own, and the MLP's.
void products(Bench& bench, const Cublas& cublas, const Limits& limits, int64_t M, int64_t N,
              int64_t K) {
  constexpr int64_t kExperts = 5, kRank = 32;
  const Ops& ops = bench.ops;
  constexpr WeightType kType = WeightType::kBF16;
  const Rows rows(ops, M, kExperts);
  const Buffer<float> x = bench.random(M * K);
  PackedRows packed, u, h;
  const auto pack = [&] {
    ops.pack_rows(packed, ops.row_type(kType), x.data(), K, rows.panels, 0, rows.count(), {},
                  bench.scratch, bench.pool);
  };
  measure(bench, text("pack_rows", M, 1, K), pack, 1, limits.floats, M * K * 6.0, limits.bytes);
  std::vector<float> weight(std::max(N, kRank) * K, 0.5f);
  Matrix w, up_matrix, down_matrix, b;
  ops.pack_matrix(w, weight.data(), N, K, kType, bench.pool);
  ops.pack_matrix(up_matrix, weight.data(), N, K, kType, bench.pool);
  ops.pack_matrix(down_matrix, weight.data(), kRank, K, kType, bench.pool);
  std::vector<float> low(N * kRank, 0.5f);
  ops.pack_matrix(b, low.data(), N, kRank, kType, bench.pool);
  const std::vector<const Matrix*> downs(kExperts, &down_matrix);
  const std::vector<LoraUp> ups(kExperts, {&b, 0});
  const double down = measure(
      bench, text("lora_down, 5 experts,", M, kRank, K),
      [&] { ops.lora_down(u, packed, rows.panels, 0, rows.count(), downs, bench.pool); },
      2.0 * M * kRank * K, limits.tensor, 2.0 * (M * K + kExperts * kRank * K + M * kRank),
      limits.bytes);
  Buffer<float> y = bench.random(M * N);
  const auto linear = [&](bool adapted) {
    ops.linear(y.data(),
               {&rows.panels, 0, rows.count(), &packed, &w, nullptr, N, adapted ? &u : nullptr,
                adapted ? &ups : nullptr},
               false, bench.scratch, bench.pool);
  };
  const double bytes = 2.0 * (M * K + N * K) + 4.0 * M * N;
  const double plain = measure(
      bench, text("linear", M, N, K), [&] { linear(false); }, 2.0 * M * N * K, limits.tensor, bytes,
      limits.bytes);
  const double adapted = measure(
      bench, text("linear, r=32 of 5 experts,", M, N, K), [&] { linear(true); },
      2.0 * M * N * (K + kRank), limits.tensor, bytes + 2.0 * kRank * (M + kExperts * N),
      limits.bytes);
  ratio(text("adapters of 5 experts, r=32,", M, N, K), "time that they add to the base's",
        (adapted + down) / plain - 1);
  if (cublas.present()) {
    const double seconds = bench.seconds([&] {
      cublas.multiply(y.data(), packed.data.data(), w.data, static_cast<int>(M),
                      static_cast<int>(N), static_cast<int>(K), bench.stream());
    });
    report(text("cuBLAS", M, N, K), seconds, 2.0 * M * N * K, limits.tensor, bytes, limits.bytes);
    ratio(text("linear", M, N, K), "speed over cuBLAS's", seconds / plain);
  }
  const Product gate{&rows.panels, 0, rows.count(), &packed, &w, nullptr, N, nullptr, nullptr};
  const Product up{&rows.panels, 0, rows.count(), &packed, &up_matrix,
                   nullptr,      N, nullptr,      nullptr};
  measure(
      bench, text("gated", M, N, K),
      [&] { ops.gated(h, ops.row_type(kType), nullptr, gate, up, bench.scratch, bench.pool); },
      4.0 * M * N * K, limits.tensor, 2.0 * (M * K + 2 * N * K + M * N), limits.bytes);
}

/// The same with weights of 8 bits.
void int8_products(Bench& bench, const Limits& limits, int64_t M, int64_t N, int64_t K) {
  const Ops& ops = bench.ops;
  const Rows rows(ops, M, 1);
  const Buffer<float> x = bench.random(M * K);
  PackedRows packed;
  const auto pack = [&] {
    ops.pack_rows(packed, RowType::kInt8, x.data(), K, rows.panels, 0, rows.count(), {},
                  bench.scratch, bench.pool);
  };
  report(text("pack_rows int8", M, 1, K), bench.seconds(pack), 1, limits.floats, M * K * 5.0,
         limits.bytes);
  const std::vector<float> weight(N * K, 0.5f);
  Matrix w;
  ops.pack_matrix(w, weight.data(), N, K, WeightType::kInt8, bench.pool);
  const Product product{&rows.panels, 0, rows.count(), &packed, &w, nullptr, N, nullptr, nullptr};
  Buffer<float> y = bench.random(M * N);
  const double bytes = 1.0 * (M * K + N * K) + 4.0 * M * N;
  report(text("linear int8", M, N, K),
         bench.seconds([&] { ops.linear(y.data(), product, false, bench.scratch, bench.pool); }),
         2.0 * M * N * K, limits.int8, bytes, limits.bytes);
  PackedRows none;
  const double gated = bench.seconds([&] {
    ops.gated(none, RowType::kInt8, y.data(), product, product, bench.scratch, bench.pool);
  });
  report(text("gated int8", M, N, K), gated, 4.0 * M * N * K, limits.int8, bytes + 1.0 * N * K,
         limits.bytes);
}

/// Candidates of one prompt, as the forest has them: forward, and backward.
void attention(Bench& bench, const Limits& limits, int64_t prompt, int64_t candidates,
               int64_t length, const AttentionShape& shape) {
  const Ops& ops = bench.ops;
  std::vector<AttentionSegment> segments{{0, prompt, 0, {{0, prompt}}}};
  int64_t rows = prompt;
  double pairs = prompt * (prompt + 1) / 2.0;
  for (int64_t i = 0; i < candidates; ++i) {
    segments.push_back({rows, length, prompt, {{0, prompt}, {rows, length}}});
    rows += length;
    pairs += length * prompt + length * (length + 1) / 2.0;
  }
  const int64_t width = shape.heads * shape.head_dim, key_width = shape.kv_heads * shape.head_dim;
  const Buffer<float> q = bench.random(rows * width), k = bench.random(rows * key_width),
                      v = bench.random(rows * key_width);
  Buffer<float> out = bench.random(rows * width);
  const std::string name = "attention " + std::to_string(prompt) + "+" +
                           std::to_string(candidates) + "x" + std::to_string(length) +
                           " D=" + std::to_string(shape.head_dim);
  const double seconds = bench.seconds([&] {
    ops.attention(out.data(), q.data(), k.data(), v.data(), rows, segments, shape, RowType::kBF16,
                  bench.scratch, bench.pool);
  });
  const double bytes = 4.0 * rows * (2 * width + 2 * key_width);
  report(name, seconds, 4.0 * pairs * width, limits.tensor, bytes, limits.bytes);
  Buffer<float> dq = bench.random(rows * width), dk = bench.random(rows * key_width),
                dv = bench.random(rows * key_width);
  const double backward = bench.seconds([&] {
    bench.gradients.attention(dq.data(), dk.data(), dv.data(), out.data(), q.data(), k.data(),
                              v.data(), rows, rows, 0, segments, shape, bench.scratch, bench.pool);
  });
  // Seven products of every pair that must be: scores and d scores twice, d q, d k and d v.
  report(name + ", backward", backward, 14.0 * pairs * width, limits.floats, 2 * bytes,
         limits.bytes);
}

/// What learning an adapter of rank 32 takes beside products: its weights' gradients, and steps.
void learning(Bench& bench, const Limits& limits, int64_t T, int64_t K) {
  constexpr int64_t kRank = 32;
  const Buffer<float> x = bench.random(T * K), u = bench.random(T * kRank);
  Buffer<float> gradient = bench.random(kRank * K), w = bench.random(kRank * K),
                m = bench.random(kRank * K), v = bench.random(kRank * K);
  bench.gradients.clear(v.data(), kRank * K, bench.pool);
  const double outer = bench.seconds([&] {
    bench.gradients.outer(gradient.data(), u.data(), kRank, kRank, x.data(), K, K, T, bench.pool);
  });
  report(text("outer", kRank, K, T), outer, 2.0 * T * K * kRank, limits.floats,
         4.0 * (T * (K + kRank) + 2 * kRank * K), limits.bytes);
  const double adam = bench.seconds([&] {
    bench.gradients.adam(w.data(), m.data(), v.data(), gradient.data(), 1.0f, kRank * K,
                         {1e-3f, 0.9f, 0.999f, 1e-8f, 0, 1}, bench.pool);
  });
  report(text("adam", kRank, K, 1), adam, 12.0 * kRank * K, limits.floats, 28.0 * kRank * K,
         limits.bytes);
}

void run(bool quick, bool limits_only) {
  Bench bench;
  const Cublas cublas;
  const Limits limits = measure_limits(bench, cublas);
  const cuda::runtime::Properties gpu = cuda::runtime::properties();
  for (const auto& [what, unit, value] :
       {std::tuple{"bf16 on tensor cores", "TFLOP/s", limits.tensor / 1e12},
        std::tuple{"8 bits on tensor cores", "TOP/s", limits.int8 / 1e12},
        std::tuple{"float32", "TFLOP/s", limits.floats / 1e12},
        std::tuple{"copy, read and written", "GB/s", limits.bytes / 1e9}})
    std::printf(
        "{\"bench\":\"gpu\",\"case\":\"%s\",\"metric\":\"limit of "
        "%s\",\"unit\":\"%s\",\"value\":%.1f}\n",
        what, gpu.name.c_str(), unit, value);
  if (limits_only) return;
  if (!cublas.present()) std::fprintf(stderr, "no cuBLAS beside it: no library is found\n");
  const std::vector<int64_t> heights =
      quick ? std::vector<int64_t>{512, 16384} : std::vector<int64_t>{64, 512, 2048, 16384};
  for (const int64_t M : heights) {
    products(bench, cublas, limits, M, 896, 896);
    products(bench, cublas, limits, M, 4864, 896);
    products(bench, cublas, limits, M, 4096, 4096);
    if (!quick) products(bench, cublas, limits, M, 11008, 4096);
    int8_products(bench, limits, M, 4096, 4096);
    learning(bench, limits, M, 4096);
  }
  attention(bench, limits, 2048, 0, 0, {14, 2, 64, 0.125f, 0});
  attention(bench, limits, 256, 64, 256, {14, 2, 64, 0.125f, 0});
  attention(bench, limits, 256, 64, 256, {32, 8, 128, 0.088f, 0});
}

}  // namespace

int main(int argc, char** argv) {
  if (cuda::find_ops() == nullptr) {
    std::printf("no GPU: not run (%s)\n", cuda::describe().c_str());
    return EXIT_SUCCESS;
  }
  try {
    const std::string option = argc > 1 ? argv[1] : "";
    run(option == "--quick", option == "--limits");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}
