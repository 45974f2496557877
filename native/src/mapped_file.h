#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dmoerm/tensor.h"

namespace dmoerm {

/// A file mapped read-only.
class MappedFile {
 public:
  /// Throws NOT_FOUND if the file cannot be opened, DATA_LOSS if it is empty.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  /// The tensor's bytes. Throws DATA_LOSS naming the tensor if type, shape and bytes disagree or
  /// leave the file.
  const uint8_t* bytes_of(const TensorSource& tensor) const;

  const uint8_t* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  std::string path_;
  const uint8_t* data_ = nullptr;
  int64_t size_ = 0;
};

/// Reads tensors of a list of files.
class TensorReader {
 public:
  explicit TensorReader(const std::vector<std::string>& files);

  /// The raw bytes, valid while the reader lives.
  const uint8_t* raw(const TensorSource& tensor) const;

  /// All elements as float32, row-major; rows reordered if `rope_interleaved` (head_dim rows per
  /// head). Throws DATA_LOSS, reason NON_FINITE_WEIGHT, naming the tensor and the first bad
  /// element.
  std::vector<float> read(const TensorSource& tensor, int64_t head_dim = 0) const;

 private:
  std::vector<MappedFile> files_;
};

/// Product of the sizes. Throws DATA_LOSS if a size is negative or the product overflows.
int64_t element_count(const TensorSource& tensor);

/// Throws DATA_LOSS, reason NON_FINITE_WEIGHT, if a value is NaN or infinite.
void check_finite(const std::string& name, const float* values, int64_t count);

}  // namespace dmoerm
