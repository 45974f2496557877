#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "dmoerm/memory.h"

namespace dmoerm {
namespace {

class HostMemory : public Memory {
 public:
  void* allocate(size_t wanted) override {
    // Large arrays are walked in long strides: on huge pages that costs no translation.
    constexpr size_t kHugePage = 2 << 20;
    const size_t alignment = wanted >= 2 * kHugePage ? kHugePage : 64;
    const size_t bytes = (wanted + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(alignment, bytes);
    if (memory == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: may fail
    return memory;
  }
  void release(void* memory) override { std::free(memory); }
  void write(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void read(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  bool is_host() const override { return true; }
};

}  // namespace

Memory& host_memory() {
  static HostMemory memory;
  return memory;
}

}  // namespace dmoerm
