#pragma once

#include <cstdint>
#include <vector>

#include "dmoerm/trainer.h"

namespace dmoerm::train {

/// Adds the pairs' losses w (softplus(z) - t z), z = score of the first - score of the second (recipe, section 1), and
/// their derivatives by each score. Finite for every finite z.
double pair_loss(const std::vector<PairTarget>& pairs, const std::vector<float>& scores,
                 std::vector<double>& derivatives);

/// ln softmax(logits)[target]; logits (V) become the derivative of -weight times that.
double token_logprob(float* logits, int64_t V, int32_t target, double weight);

}  // namespace dmoerm::train
