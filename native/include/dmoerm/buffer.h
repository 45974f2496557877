#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "dmoerm/memory.h"

namespace dmoerm {

/// Uninitialised array that only grows.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t size) { reserve(size); }

  /// Makes room for `size` elements in `memory`, which outlives the buffer; what was there is lost if it had to grow.
  void reserve(int64_t size, Memory& memory = host_memory()) {
    if (size <= capacity_) return;
    T* grown = static_cast<T*>(memory.allocate(static_cast<size_t>(size) * sizeof(T)));
    data_ = std::unique_ptr<T, Free>(grown, Free{&memory});
    capacity_ = size;
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t capacity() const { return capacity_; }
  T& operator[](int64_t i) { return data_.get()[i]; }
  const T& operator[](int64_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    Memory* memory = nullptr;
    void operator()(T* data) const { memory->release(data); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t capacity_ = 0;
};

}  // namespace dmoerm
