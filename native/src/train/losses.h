#pragma once

#include <cstdint>
#include <vector>

#include "dmoerm/trainer.h"

namespace dmoerm::train {

/// Adds the pairs' losses w (softplus(z) - t z), z = score of the first - score of the second (recipe, section 1), and
/// their derivatives by each score. Finite for every finite z.
double pair_loss(const std::vector<PairTarget>& pairs, const std::vector<float>& scores,
                 std::vector<double>& derivatives);

}  // namespace dmoerm::train
