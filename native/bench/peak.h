#pragma once

#include <cstdint>
#include <vector>

namespace dmoerm::bench {

/// A machine's multiply instruction for one type, register to register, with enough independent sums to hide its
/// latency: the ceiling of any matrix product.
struct PeakLoop {
  const char* type;              ///< "f32", "bf16" or "int8"
  const char* unit;              ///< the first unit of `instruction_sets` that has it
  const char* instruction;       ///< e.g. "vdpbf16ps zmm"
  double operations;             ///< multiplications and additions per instruction
  void (*loop)(int64_t rounds);  ///< 24 instructions a round

  /// Operations per second of all threads together, now, in about 10 ms.
  double rate(int threads) const;
  /// The best of a few.
  double best_rate(int threads) const;
};

/// The fastest one of each type that this machine has an instruction for.
std::vector<PeakLoop> peak_loops();

}  // namespace dmoerm::bench
