#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "dmoerm/error.h"

namespace dmoerm {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    throw Error(Code::kNotFound, "FILE_NOT_FOUND", path, path + ": " + std::strerror(errno));
  struct stat info{};
  void* memory = MAP_FAILED;
  if (fstat(fd, &info) == 0 && info.st_size > 0)
    memory = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (memory == MAP_FAILED)
    throw Error(Code::kDataLoss, "FILE_UNREADABLE", path, path + ": empty or not mappable");
  data_ = static_cast<const uint8_t*>(memory);
  size_ = info.st_size;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(size_));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(other.size_) {}

const uint8_t* MappedFile::bytes_of(const TensorSource& tensor) const {
  const int64_t count = element_count(tensor);
  const int64_t block = block_elements(tensor.type);
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  int64_t wanted = 0;
  if (row % block != 0 ||
      __builtin_mul_overflow(count / block, block_bytes(tensor.type), &wanted) ||
      tensor.bytes != wanted || tensor.offset < 0 || tensor.offset > size_ ||
      tensor.bytes > size_ - tensor.offset)
    throw Error(Code::kDataLoss, "TENSOR_OUT_OF_BOUNDS", tensor.name,
                path_ + ": tensor " + tensor.name +
                    " does not fit its type and shape or reaches past the end of the file");
  return data_ + tensor.offset;
}

TensorReader::TensorReader(const std::vector<std::string>& files) {
  files_.reserve(files.size());
  for (const std::string& file : files) files_.emplace_back(file);
}

const uint8_t* TensorReader::raw(const TensorSource& tensor) const {
  if (tensor.file < 0 || tensor.file >= static_cast<int64_t>(files_.size()))
    throw Error(Code::kInvalidArgument, "UNKNOWN_FILE", tensor.name,
                "tensor " + tensor.name + " names no known file");
  return files_[tensor.file].bytes_of(tensor);
}

std::vector<float> TensorReader::read(const TensorSource& tensor, int64_t head_dim) const {
  const uint8_t* source = raw(tensor);
  const int64_t count = element_count(tensor);
  std::vector<float> values(static_cast<size_t>(count));
  decode(values.data(), source, tensor.type, count);
  check_finite(tensor.name, values.data(), count);
  if (!tensor.rope_interleaved || head_dim == 0 || count == 0) return values;
  // Rows (2i, 2i+1) of a head belong together on disk, rows (i, i + D/2) in the engine.
  const int64_t rows = tensor.shape.empty() ? 1 : tensor.shape.front();
  if (rows % head_dim != 0 || head_dim % 2 != 0)
    throw Error(Code::kDataLoss, "BAD_SHAPE", tensor.name,
                "tensor " + tensor.name + " has rows that are not those of whole heads");
  const int64_t width = count / rows;
  std::vector<float> ordered(values.size());
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t head = row / head_dim * head_dim;
    const int64_t i = row - head;
    const int64_t from = head + (i < head_dim / 2 ? 2 * i : 2 * (i - head_dim / 2) + 1);
    std::memcpy(&ordered[row * width], &values[from * width],
                static_cast<size_t>(width) * sizeof(float));
  }
  return ordered;
}

int64_t element_count(const TensorSource& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.shape)
    if (size < 0 || __builtin_mul_overflow(count, size, &count))
      throw Error(Code::kDataLoss, "BAD_SHAPE", tensor.name,
                  "tensor " + tensor.name + " has an impossible shape");
  return count;
}

void check_finite(const std::string& name, const float* values, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(values[i]))
      throw Error(Code::kDataLoss, "NON_FINITE_WEIGHT", name,
                  "tensor " + name + " holds NaN or infinity at element " + std::to_string(i));
}

}  // namespace dmoerm
