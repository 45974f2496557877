#pragma once

#include <string>

#include "dmoerm/gradient_ops.h"
#include "dmoerm/ops.h"

namespace dmoerm::cuda {

/// The ops on the first GPU; null if this build has none for GPUs, or this machine no GPU that runs them.
const Ops* find_ops();

/// Their derivatives; null where `find_ops` is.
const GradientOps* find_gradients();

/// For people: the GPU's name, or why there are no ops for one.
std::string describe();

}  // namespace dmoerm::cuda
