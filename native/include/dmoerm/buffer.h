#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace dmoerm {

/// Uninitialised, 64-byte aligned array that only grows.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t size) { reserve(size); }

  /// Makes room for `size` elements; what was there is lost if it had to grow.
  void reserve(int64_t size) {
    if (size <= capacity_) return;
    // Large arrays are walked in long strides: on huge pages that costs no translation.
    constexpr size_t kHugePage = 2 << 20;
    const size_t wanted = static_cast<size_t>(size) * sizeof(T);
    const size_t alignment = wanted >= 2 * kHugePage ? kHugePage : 64;
    const size_t bytes = (wanted + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(alignment, bytes);
    if (memory == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: may fail
    data_.reset(static_cast<T*>(memory));
    capacity_ = size;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t capacity() const { return capacity_; }
  T& operator[](int64_t i) { return data_.get()[i]; }
  const T& operator[](int64_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t capacity_ = 0;
};

}  // namespace dmoerm
