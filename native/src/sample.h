#pragma once

#include <cstdint>
#include <vector>

#include "dmoerm/engine.h"

namespace dmoerm {

/// A uniform number in [0, 1) for token `step` of completion `sample` of a prompt: a function of these alone, so that
/// completions do not depend on what runs beside them (SplitMix64, doi 10.1145/2660193.2660195).
double uniform(uint64_t seed, int64_t sample, int64_t step);

/// A token and the model's log-probability of it.
struct Choice {
  int32_t token = -1;  ///< -1: the logits are not finite
  float log_prob = 0;
};

/// Chooses a token. `logits` (V); `terms` (V): exp(logit - largest logit); `heated` (V): the same at the
/// temperature, `terms` if that is 1, not read if it is 0; `random` in [0, 1).
Choice choose(const float* logits, const float* terms, const float* heated, int64_t V,
              const Sampling& sampling, double random);

}  // namespace dmoerm
