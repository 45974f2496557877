// Builds without a CUDA compiler.

#include "backend.h"

namespace dmoerm::cuda {

const Ops* find_ops() { return nullptr; }

const GradientOps* find_gradients() { return nullptr; }

std::string describe() { return "this build has no CUDA back end"; }

}  // namespace dmoerm::cuda
