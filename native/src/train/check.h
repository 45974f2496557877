#pragma once

#include <string>
#include <vector>

#include "dmoerm/trainer.h"

namespace dmoerm::train {

[[noreturn]] void refuse(const char* reason, const std::string& field, const std::string& message);

/// The first layer that gradients reach.
int64_t first_layer(const TrainerOptions& options, const ModelConfig& config);

/// Throws INVALID_ARGUMENT naming the option.
void check_options(const TrainerOptions& options, const ModelConfig& config);

/// Throws INVALID_ARGUMENT naming batch and field.
void check_batches(const std::vector<TrainBatch>& batches, const TrainerOptions& options,
                   const ModelConfig& config);

}  // namespace dmoerm::train
