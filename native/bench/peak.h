#pragma once

#include <string>
#include <vector>

namespace dmoerm::bench {

/// A machine's multiply instruction for one type.
struct Peak {
  std::string type;                  ///< "f32", "bf16" or "int8"
  std::string instruction;           ///< e.g. "vdpbf16ps zmm"
  double operations_per_second = 0;  ///< multiplications and additions, all threads together
};

/// Rates of register-to-register multiply-adds with enough independent sums to hide their latency: the
/// ceiling of any matrix product. One per type that this machine has an instruction for.
std::vector<Peak> measure_peaks(int threads);

}  // namespace dmoerm::bench
