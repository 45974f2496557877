#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "dmoerm/engine.h"
#include "mapped_file.h"
#include "weights.h"

namespace dmoerm {

/// Canonical name of a linear layer's weight.
std::string linear_name(int64_t layer, Target target);

/// The base's tensors by name, with checks. Refers to source and reader.
class BaseTensors {
 public:
  BaseTensors(const ModelSource& source, const TensorReader& reader);

  bool has(const std::string& name) const { return by_name_.count(name) > 0; }

  /// Throws DATA_LOSS if it is missing or has another shape, as `read`.
  const TensorSource& find(const std::string& name, const std::vector<int64_t>& shape) const;
  std::vector<float> read(const std::string& name, const std::vector<int64_t>& shape) const;
  std::vector<float> read_optional(const std::string& name,
                                   const std::vector<int64_t>& shape) const;

  const uint8_t* raw(const TensorSource& tensor) const { return reader_.raw(tensor); }

  /// Throws DATA_LOSS if an element is not finite.
  void check(const TensorSource& tensor) const { reader_.read(tensor); }

 private:
  const TensorReader& reader_;
  int64_t head_dim_;
  std::unordered_map<std::string, const TensorSource*> by_name_;
};

}  // namespace dmoerm
