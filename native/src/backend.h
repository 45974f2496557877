#pragma once

#include <string>

#include "dmoerm/engine.h"
#include "dmoerm/gradient_ops.h"

namespace dmoerm {

/// The ops that an engine runs: "cuda", a unit of this processor by its name, or "auto", a GPU if there is one and the
/// widest unit otherwise. Throws INVALID_ARGUMENT if unknown, UNIMPLEMENTED if this machine lacks it.
const Ops& select_backend(const std::string& isa);

/// The derivatives of ops that `select_backend` gave.
const GradientOps& gradients_of(const Ops& ops);

/// The type of weights that an engine has on them: the one asked for, or the fastest within the engine's tolerances.
/// Throws UNIMPLEMENTED if the ops have no such type.
WeightType weight_type_of(const EngineOptions& options, const Ops& ops);

}  // namespace dmoerm
