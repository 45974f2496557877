#pragma once

// What tests of the CUDA back end share. The device is an emulated one, or a GPU where they are built for one.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "check.h"
#include "cuda/backend.h"
#ifdef DMOERM_CUDA_EMULATED
#include "cuda/emulated/machine.h"
#endif

namespace dmoerm::test {

/// The device's side of the tests: one engine's memory.
struct Gpu {
  const Ops& ops = *cuda::find_ops();
  std::unique_ptr<Memory> memory = ops.open();
  ThreadPool pool{1, *memory};
  Scratch scratch;

  Buffer<float> upload(const std::vector<float>& values) {
    Buffer<float> copy;
    copy.reserve(static_cast<int64_t>(values.size()), *memory);
    memory->write(copy.data(), values.data(), static_cast<int64_t>(values.size() * sizeof(float)));
    return copy;
  }
  std::vector<float> download(const Buffer<float>& from, int64_t count) {
    std::vector<float> values(count);
    memory->read(values.data(), from.data(), count * static_cast<int64_t>(sizeof(float)));
    return values;
  }
};

inline Gpu& gpu() {
  static Gpu one;
  return one;
}

inline ThreadPool& cpu_pool() {
  static ThreadPool pool(1);
  return pool;
}

inline void require_all_close(const std::vector<float>& got, const std::vector<float>& want,
                              double tolerance) {
  double largest = 1e-30;
  for (const float value : want) largest = std::max<double>(largest, std::abs(value));
  require(got.size() == want.size(), "sizes differ");
  for (size_t i = 0; i < want.size(); ++i)
    require_close(got[i], want[i], largest, tolerance, "element " + std::to_string(i));
}

inline void require_same_bits(const float* a, const float* b, int64_t count,
                              const std::string& what) {
  require(std::memcmp(a, b, static_cast<size_t>(count) * sizeof(float)) == 0, what);
}

#ifdef DMOERM_CUDA_EMULATED
/// For the table of occupancies: kernel, threads of a block, shared bytes at most.
inline void print_launches() {
  for (const auto& [name, grid] : cuda::emulated::Machine::instance().launched())
    std::printf("launch\t%s\t%u\t%lld\n", name.c_str(), grid.threads,
                static_cast<long long>(grid.shared_bytes));
}
#else
inline void print_launches() {}
#endif

}  // namespace dmoerm::test
