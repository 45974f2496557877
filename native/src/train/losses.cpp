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

double token_logprob(float* logits, int64_t V, int32_t target, double weight) {
  const float most = *std::max_element(logits, logits + V);
  double sum = 0;
  const float own = logits[target];
  for (int64_t v = 0; v < V; ++v) {
    logits[v] = std::exp(logits[v] - most);
    sum += static_cast<double>(logits[v]);
  }
  const auto scale = static_cast<float>(weight / sum);
  for (int64_t v = 0; v < V; ++v) logits[v] *= scale;
  logits[target] -= static_cast<float>(weight);
  return static_cast<double>(own - most) - std::log(sum);
}

}  // namespace dmoerm::train
