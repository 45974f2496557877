#pragma once

// Units of src/cpu compiled once more for machines that lack an instruction of theirs.

#include "dmoerm/ops.h"

namespace dmoerm {

/// Runs where `avx512_bf16` does.
const Ops& amx_emulated_ops();
/// Runs where `avx512_vnni` does.
const Ops& avx_vnni_emulated_ops();

}  // namespace dmoerm
