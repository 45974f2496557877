#include "sample.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace dmoerm {
namespace {

uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;

/// The smallest set of likeliest tokens whose terms reach `share` of the sum, the likeliest first.
std::vector<int32_t> nucleus(const float* terms, int64_t V, double sum, double share) {
  // Tokens below this reach less than 1 - share together: none of them is needed.
  const double least = (1 - share) * sum / static_cast<double>(V);
  std::vector<int32_t> tokens;
  for (int64_t n = 0; n < V; ++n)
    if (terms[n] >= least) tokens.push_back(static_cast<int32_t>(n));
  std::sort(tokens.begin(), tokens.end(), [&](int32_t a, int32_t b) {
    return terms[a] != terms[b] ? terms[a] > terms[b] : a < b;
  });
  double reached = 0;
  size_t count = 0;
  while (count < tokens.size() && (count == 0 || reached < share * sum))
    reached += terms[tokens[count++]];
  tokens.resize(count);
  return tokens;
}

/// The index at which the running sum of terms passes `random` times their sum.
template <class Term>
int64_t invert(int64_t count, double sum, double random, Term term) {
  double left = random * sum;
  for (int64_t i = 0; i + 1 < count; ++i) {
    left -= term(i);
    if (left < 0) return i;
  }
  return count - 1;
}

}  // namespace

double uniform(uint64_t seed, int64_t sample, int64_t step) {
  const uint64_t stream = mix(mix(seed + kGolden) + kGolden * (static_cast<uint64_t>(sample) + 1));
  const uint64_t bits = mix(stream + kGolden * (static_cast<uint64_t>(step) + 1));
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

Choice choose(const float* logits, const float* terms, const float* heated, int64_t V,
              const Sampling& sampling, double random) {
  const double sum = std::accumulate(terms, terms + V, 0.0);
  const float* largest = std::max_element(logits, logits + V);
  if (!std::isfinite(*largest) || !std::isfinite(sum)) return {};
  const auto choice = [&](int64_t token) {
    const double log_prob = static_cast<double>(logits[token]) - *largest - std::log(sum);
    return Choice{static_cast<int32_t>(token), static_cast<float>(log_prob)};
  };
  if (sampling.temperature == 0) return choice(largest - logits);
  const double total = std::accumulate(heated, heated + V, 0.0);
  if (sampling.top_p == 1)
    return choice(invert(V, total, random, [&](int64_t i) { return heated[i]; }));
  const std::vector<int32_t> kept = nucleus(heated, V, total, sampling.top_p);
  double reached = 0;
  for (const int32_t token : kept) reached += heated[token];
  return choice(kept[invert(static_cast<int64_t>(kept.size()), reached, random,
                            [&](int64_t i) { return heated[kept[i]]; })]);
}

}  // namespace dmoerm
