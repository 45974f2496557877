#pragma once

#include "dmoerm/ops.h"

namespace dmoerm::cuda {

/// The ops on the first GPU; null if this build has none for GPUs, or this machine no GPU that runs them.
const Ops* find_ops();

/// Why there are none: for people.
const char* why_none();

}  // namespace dmoerm::cuda
