#include "backend.h"

#include "cuda/backend.h"
#include "dmoerm/error.h"

namespace dmoerm {

const Ops& select_backend(const std::string& isa) {
  if (isa != "auto" && isa != "cuda") return select_ops(isa.c_str());
  if (const Ops* ops = cuda::find_ops(); ops != nullptr) return *ops;
  if (isa == "cuda")
    throw Error(Code::kUnimplemented, "CUDA_NOT_AVAILABLE", "isa", cuda::describe() + "; use auto");
  return select_ops("auto");
}

const GradientOps& gradients_of(const Ops& ops) {
  return ops.open == nullptr ? gradients_for(ops) : *cuda::find_gradients();
}

WeightType weight_type_of(const EngineOptions& options, const Ops& ops) {
  const bool on_device = ops.open != nullptr;
  const WeightType type = options.weight_type ? *options.weight_type
                          : on_device         ? WeightType::kBF16
                                              : default_weight_type(ops);
  if (on_device && type == WeightType::kStored)
    throw Error(Code::kUnimplemented, "WEIGHT_TYPE_NOT_SUPPORTED", "weightType",
                "a GPU takes weights of type bf16, f32 or int8");
  return type;
}

}  // namespace dmoerm
