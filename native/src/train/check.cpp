#include "check.h"

#include <cmath>
#include <set>

#include "dmoerm/error.h"
#include "plan.h"

namespace dmoerm::train {

void refuse(const char* reason, const std::string& field, const std::string& message) {
  throw Error(Code::kInvalidArgument, reason, field, message);
}

int64_t first_layer(const TrainerOptions& options, const ModelConfig& c) {
  return options.plan == PlanType::kTopLayers ? c.layer_count - options.top_layers : 0;
}

void check_options(const TrainerOptions& options, const ModelConfig& c) {
  if (options.weight_type != WeightType::kF32 && options.weight_type != WeightType::kBF16)
    refuse("BAD_WEIGHT_TYPE", "weightType", "a trainer computes in f32 or bf16");
  if (options.experts.empty()) refuse("NO_EXPERTS", "experts", "there is nothing to train");
  if (options.plan == PlanType::kTopLayers &&
      (options.top_layers < 1 || options.top_layers > c.layer_count))
    refuse("BAD_PLAN", "plan.layers",
           "top_layers must lie between 1 and the base's " + std::to_string(c.layer_count) +
               " layers");
  if (options.train_base && (options.experts.size() != 1 || !options.experts[0].adapter.empty() ||
                             options.plan != PlanType::kFull))
    refuse("BASE_WITH_EXPERTS", "trainBase",
           "a base is trained with one expert that has no adapter, in the plan full");
  for (size_t e = 0; e < options.experts.size(); ++e) {
    const LearnerSource& expert = options.experts[e];
    const std::string field = "experts[" + std::to_string(e) + "]";
    if (!(expert.dropout >= 0 && expert.dropout < 1))
      refuse("BAD_DROPOUT", field + ".dropout", "dropout must lie in [0, 1)");
    if (expert.invocation_tokens.empty() != (options.plan != PlanType::kReadout))
      refuse("BAD_INVOCATION_TOKENS", field + ".invocation_tokens",
             "experts of the readout plan need invocation tokens, those of the other plans have "
             "none");
    for (const int32_t token : expert.invocation_tokens)
      if (token < 0 || token >= c.vocab_size)
        refuse("UNKNOWN_TOKEN", field + ".invocation_tokens",
               "token " + std::to_string(token) + " is outside the vocabulary of " +
                   std::to_string(c.vocab_size));
    for (const LoraShape& shape : expert.adapter)
      if (shape.layer < first_layer(options, c) || shape.layer >= c.layer_count || shape.rank < 1 ||
          !std::isfinite(shape.scale))
        refuse("BAD_ADAPTER", field + ".adapter",
               "an adapter module names a layer that the plan does not adapt, or has no rank or "
               "a bad scale");
  }
}

namespace {

void check_trunk(const TrainBatch& one, const TrainerOptions& options, const ModelConfig& config,
                 const std::string& field, bool given) {
  if (!given && one.trunk.empty()) return;
  std::set<int64_t> prompts;
  int64_t rows = 0;
  for (const Candidate& candidate : one.batch.candidates) {
    rows += static_cast<int64_t>(candidate.tokens.size());
    if (prompts.insert(candidate.prompt).second)
      rows += static_cast<int64_t>(one.batch.prompts[candidate.prompt].size());
  }
  if (options.plan != PlanType::kTopLayers ||
      static_cast<int64_t>(one.trunk.size()) != rows * config.hidden_size)
    refuse("BAD_TRUNK", field + ".trunk",
           "hidden states are given in the plan top_layers only, for all batches or none, one row "
           "per token of each prompt and candidate");
}

void check_token_weights(const TrainBatch& one, const TrainerOptions& options,
                         const std::string& field) {
  const std::vector<float>& weights = one.token_weights;
  if (weights.empty()) return;
  const auto bad = [&](const char* message) {
    refuse("BAD_TOKEN_WEIGHT", field + ".token_weights", message);
  };
  if (options.plan == PlanType::kReadout)
    bad("the plan readout changes no token of a candidate: there is nothing to learn of them");
  size_t first = 0;
  for (const Candidate& candidate : one.batch.candidates) {
    if (first < weights.size() && weights[first] != 0 &&
        one.batch.prompts[candidate.prompt].empty())
      bad("nothing comes before a candidate's first token: without a prompt its weight is 0");
    first += candidate.tokens.size();
  }
  if (first != weights.size()) bad("there is one weight for each token of the candidates");
  for (const float weight : weights)
    if (!std::isfinite(weight)) bad("weights of tokens are finite");
}

}  // namespace

void check_batches(const std::vector<TrainBatch>& batches, const TrainerOptions& options,
                   const ModelConfig& config) {
  for (size_t i = 0; i < batches.size(); ++i) {
    const TrainBatch& one = batches[i];
    const std::string field = "batches[" + std::to_string(i) + "]";
    if (one.batch.task < 0 || one.batch.task >= static_cast<int64_t>(options.experts.size()))
      refuse("UNKNOWN_EXPERT", field + ".task", "the trainer has no such expert");
    const LearnerSource& expert = options.experts[one.batch.task];
    check(one.batch, static_cast<int64_t>(expert.invocation_tokens.size()), config, field);
    const auto N = static_cast<int64_t>(one.batch.candidates.size());
    for (const PairTarget& pair : one.pairs)
      if (pair.first < 0 || pair.second < 0 || pair.first >= N || pair.second >= N ||
          pair.first == pair.second || !(pair.target >= 0 && pair.target <= 1) ||
          !std::isfinite(pair.weight))
        refuse("BAD_PAIR", field + ".pairs",
               "a pair names two candidates of its batch, a target in [0, 1] and a finite weight");
    check_token_weights(one, options, field);
    check_trunk(one, options, config, field, !batches.front().trunk.empty());
  }
}

}  // namespace dmoerm::train
