#include "losses.h"

#include <algorithm>
#include <cmath>

namespace dmoerm::train {

double pair_loss(const std::vector<PairTarget>& pairs, const std::vector<float>& scores,
                 std::vector<double>& derivatives) {
  double loss = 0;
  for (const PairTarget& pair : pairs) {
    const double z =
        static_cast<double>(scores[pair.first]) - static_cast<double>(scores[pair.second]);
    const double softplus = std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z)));
    loss += pair.weight * (softplus - pair.target * z);
    const double probability =
        z >= 0 ? 1.0 / (1.0 + std::exp(-z)) : std::exp(z) / (1.0 + std::exp(z));
    const double derivative = pair.weight * (probability - pair.target);
    derivatives[pair.first] += derivative;
    derivatives[pair.second] -= derivative;
  }
  return loss;
}

}  // namespace dmoerm::train
