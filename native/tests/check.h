#pragma once

// The few lines of test harness that the op tests need; no test framework has to be there to build
// and run them.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace dmoerm::test {

inline int& passed() {
  static int count = 0;
  return count;
}

inline int& failed() {
  static int count = 0;
  return count;
}

/// Runs one test; a thrown exception fails it.
template <class Body>
void test(const std::string& name, Body body) {
  try {
    body();
    ++passed();
  } catch (const std::exception& error) {
    ++failed();
    std::fprintf(stderr, "FAILED %s: %s\n", name.c_str(), error.what());
  }
}

inline void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

/// |a - b| within `tolerance` of the scale `largest`.
inline void require_close(double a, double b, double largest, double tolerance,
                          const std::string& what) {
  require(std::abs(a - b) <= tolerance * largest,
          what + ": " + std::to_string(a) + " against " + std::to_string(b));
}

/// Normal numbers, the same for the same seed.
inline std::vector<float> random(int64_t count, uint32_t seed, float scale = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

inline int finish() {
  std::printf("%d passed, %d failed\n", passed(), failed());
  return failed() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace dmoerm::test
