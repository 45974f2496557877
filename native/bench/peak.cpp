#include "peak.h"

#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "dmoerm/ops.h"
#include "dmoerm/thread_pool.h"

namespace dmoerm::bench {
namespace {

/// 24 independent sums, one instruction each, `rounds` times; operands are registers.
#define DMOERM_PEAK_LOOP(target_flags, reg, zero, instruction, constraint)                  \
  __attribute__((target(target_flags), noinline)) void instruction##_loop(int64_t rounds) { \
    reg sums[24];                                                                           \
    _Pragma("GCC unroll 24") for (int s = 0; s < 24; ++s) sums[s] = zero();                 \
    reg a = zero(), b = zero();                                                             \
    for (int64_t i = 0; i < rounds; ++i) {                                                  \
      _Pragma("GCC unroll 24") for (int s = 0; s < 24; ++s) asm volatile(                   \
          DMOERM_##instruction " %2, %1, %0" : "+" constraint(sums[s]) : constraint(a),     \
          constraint(b));                                                                   \
    }                                                                                       \
  }
/// The same with 12 sums: what 16 registers hold.
#define DMOERM_PEAK_LOOP_12(target_flags, reg, zero, instruction, constraint)               \
  __attribute__((target(target_flags), noinline)) void instruction##_loop(int64_t rounds) { \
    reg sums[12];                                                                           \
    _Pragma("GCC unroll 12") for (int s = 0; s < 12; ++s) sums[s] = zero();                 \
    reg a = zero(), b = zero();                                                             \
    for (int64_t i = 0; i < 2 * rounds; ++i) {                                              \
      _Pragma("GCC unroll 12") for (int s = 0; s < 12; ++s) asm volatile(                   \
          DMOERM_##instruction " %2, %1, %0" : "+" constraint(sums[s]) : constraint(a),     \
          constraint(b));                                                                   \
    }                                                                                       \
  }

#define DMOERM_fma512 "vfmadd231ps"
#define DMOERM_bf16_512 "vdpbf16ps"
#define DMOERM_vnni512 "vpdpbusd"
#define DMOERM_fma256 "vfmadd231ps"
#define DMOERM_vnni256 "%{vex%} vpdpbusd"

DMOERM_PEAK_LOOP("avx512f", __m512, _mm512_setzero_ps, fma512, "v")
DMOERM_PEAK_LOOP("avx512f,avx512bf16", __m512, _mm512_setzero_ps, bf16_512, "v")
DMOERM_PEAK_LOOP("avx512f,avx512vnni", __m512i, _mm512_setzero_si512, vnni512, "v")
DMOERM_PEAK_LOOP_12("avx2,fma", __m256, _mm256_setzero_ps, fma256, "x")
DMOERM_PEAK_LOOP_12("avx2", __m256i, _mm256_setzero_si256, vnni256, "x")

/// The fastest of a type first.
constexpr PeakLoop kLoops[] = {
    {"f32", "avx512", "vfmadd231ps zmm", 32, fma512_loop},
    {"f32", "avx2", "vfmadd231ps ymm", 16, fma256_loop},
    {"bf16", "avx512_bf16", "vdpbf16ps zmm", 64, bf16_512_loop},
    {"int8", "avx512_vnni", "vpdpbusd zmm", 128, vnni512_loop},
    {"int8", "avx_vnni", "vpdpbusd ymm", 64, vnni256_loop},
};

}  // namespace

double PeakLoop::rate(int threads) const {
  constexpr int64_t kRounds = 1'000'000;
  static ThreadPool pool(static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  const auto start = std::chrono::steady_clock::now();
  pool.run(threads, [&](int64_t, int) { loop(kRounds); });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return kRounds * 24 * operations * threads / seconds.count();
}

double PeakLoop::best_rate(int threads) const {
  double best = 0;
  for (int repeat = 0; repeat < 9; ++repeat) best = std::max(best, rate(threads));
  return best;
}

std::vector<PeakLoop> peak_loops() {
  const std::vector<std::string> units = instruction_sets();
  std::vector<PeakLoop> loops;
  for (const PeakLoop& loop : kLoops) {
    const bool known = std::any_of(loops.begin(), loops.end(), [&](const PeakLoop& other) {
      return std::string(other.type) == loop.type;
    });
    if (!known && std::find(units.begin(), units.end(), loop.unit) != units.end())
      loops.push_back(loop);
  }
  return loops;
}

}  // namespace dmoerm::bench
