// Builds without a CUDA compiler.

#include "backend.h"

namespace dmoerm::cuda {

const Ops* find_ops() { return nullptr; }

const char* why_none() { return "this build has no CUDA back end"; }

}  // namespace dmoerm::cuda
