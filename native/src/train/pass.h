#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "dmoerm/trainer.h"
#include "learned_model.h"

namespace dmoerm::train {

/// Losses of checked batches; with `learn` their derivatives are added to the gradients. See Trainer::pass.
std::vector<BatchLoss> run_pass(LearnedModel& model, const std::vector<TrainBatch>& batches,
                                bool learn, uint64_t seed, const std::atomic<bool>& cancelled);

}  // namespace dmoerm::train
