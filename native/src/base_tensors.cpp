#include "base_tensors.h"

#include "dmoerm/error.h"

namespace dmoerm {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace

std::string linear_name(int64_t layer, Target target) {
  return "layers." + std::to_string(layer) + "." + target_name(target) + ".weight";
}

BaseTensors::BaseTensors(const ModelSource& source, const TensorReader& reader)
    : reader_(reader), head_dim_(source.config.head_dim) {
  for (const TensorSource& tensor : source.tensors) by_name_.emplace(tensor.name, &tensor);
}

const TensorSource& BaseTensors::find(const std::string& name,
                                      const std::vector<int64_t>& shape) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end())
    throw Error(Code::kDataLoss, "MISSING_TENSOR", name, "the base has no tensor " + name);
  if (found->second->shape != shape)
    throw Error(Code::kDataLoss, "WRONG_SHAPE", name,
                "tensor " + name + " is " + shape_text(found->second->shape) +
                    ", the config asks for " + shape_text(shape));
  return *found->second;
}

std::vector<float> BaseTensors::read(const std::string& name,
                                     const std::vector<int64_t>& shape) const {
  return reader_.read(find(name, shape), head_dim_);
}

std::vector<float> BaseTensors::read_optional(const std::string& name,
                                              const std::vector<int64_t>& shape) const {
  return has(name) ? read(name, shape) : std::vector<float>{};
}

}  // namespace dmoerm
