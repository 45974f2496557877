#pragma once

#include <cstdint>
#include <vector>

#include "dmoerm/trainer.h"
#include "network.h"

namespace dmoerm::train {

/// Next-token targets of a batch's candidates.
struct TokenTarget {
  int64_t row;  ///< whose hidden state predicts it
  int32_t token;
  int64_t batch;
  int64_t index;  ///< among the tokens of the batch's candidates
};

/// A training pass laid out: its rows, and where each batch's candidates are pooled.
struct Laid {
  Layout layout;
  std::vector<std::vector<int64_t>> pooled;  ///< by batch and candidate: row
  std::vector<TokenTarget> targets;
};

/// Lays out checked batches; `adapters` are the experts'.
Laid lay_out(const std::vector<TrainBatch>& batches, uint64_t seed, const TrainerOptions& options,
             const std::vector<LearnedAdapter>& adapters);

}  // namespace dmoerm::train
