#include "layout.h"

#include <map>
#include <utility>

namespace dmoerm::train {

namespace {

/// Tokens of a candidate that are asked for: each is told by the row before it, the first by the prompt's last one.
void add_targets(std::vector<TokenTarget>& targets, const PlanNode& prompt, const PlanNode& node,
                 const TrainBatch& batch, size_t i, size_t c) {
  int64_t first = 0;
  for (size_t before = 0; before < c; ++before)
    first += static_cast<int64_t>(batch.batch.candidates[before].tokens.size());
  const std::vector<int32_t>& tokens = batch.batch.candidates[c].tokens;
  for (size_t t = 0; t < tokens.size(); ++t) {
    const int64_t index = first + static_cast<int64_t>(t);
    if (batch.token_weights[index] == 0) continue;
    const KvSpan& span = (t == 0 ? prompt : node).spans.back();
    const int64_t row = t == 0 ? span.row + span.count - 1 : span.row + static_cast<int64_t>(t) - 1;
    targets.push_back({row, tokens[t], static_cast<int64_t>(i), index});
  }
}

}  // namespace

Laid lay_out(const std::vector<TrainBatch>& batches, uint64_t seed, const TrainerOptions& options,
             const std::vector<LearnedAdapter>& adapters) {
  Laid laid;
  PlanBuilder builder(laid.layout.plan);
  const bool readout = options.plan == PlanType::kReadout;
  const auto close = [&](const LearnedAdapter* adapter, uint64_t own_seed) {
    builder.close_group(adapter == nullptr ? nullptr : &adapter->forward);
    laid.layout.adapters.push_back(adapter);
    laid.layout.seeds.push_back(own_seed);
  };
  // Equal conversations of a trunk that nobody changes are there once.
  std::map<std::vector<int32_t>, PlanNode> prompts;
  std::map<std::pair<std::vector<int32_t>, std::vector<int32_t>>, PlanNode> conversations;
  std::vector<std::vector<PlanNode>> nodes(batches.size());
  for (size_t i = 0; i < batches.size(); ++i) {
    const Batch& batch = batches[i].batch;
    nodes[i].resize(batch.candidates.size());
    for (size_t p = 0; p < batch.prompts.size(); ++p) {
      PlanNode prompt;
      bool here = false;
      for (size_t c = 0; c < batch.candidates.size(); ++c) {
        const Candidate& candidate = batch.candidates[c];
        if (candidate.prompt != static_cast<int64_t>(p)) continue;
        if (readout) {
          const auto known = prompts.find(batch.prompts[p]);
          prompt = known != prompts.end()
                       ? known->second
                       : prompts.emplace(batch.prompts[p], builder.add({}, batch.prompts[p]))
                             .first->second;
          const auto key = std::make_pair(batch.prompts[p], candidate.tokens);
          const auto found = conversations.find(key);
          nodes[i][c] =
              found != conversations.end()
                  ? found->second
                  : conversations.emplace(key, builder.add(prompt, candidate.tokens)).first->second;
          continue;
        }
        if (!here) prompt = builder.add({}, batch.prompts[p]);
        here = true;
        nodes[i][c] = builder.add(prompt, candidate.tokens);
        if (!batches[i].token_weights.empty())
          add_targets(laid.targets, prompt, nodes[i][c], batches[i], i, c);
      }
    }
    if (!readout) close(&adapters[batch.task], seed);
  }
  if (readout) {
    close(nullptr, seed);
    laid.layout.first_learned = laid.layout.plan.rows.count();
    for (size_t i = 0; i < batches.size(); ++i) {
      for (PlanNode& node : nodes[i])
        node = builder.add(node, options.experts[batches[i].batch.task].invocation_tokens);
      close(&adapters[batches[i].batch.task], seed);
    }
  }
  for (const std::vector<PlanNode>& own : nodes) {
    laid.pooled.emplace_back();
    for (const PlanNode& node : own)
      laid.pooled.back().push_back(node.spans.back().row + node.spans.back().count - 1);
  }
  return laid;
}

}  // namespace dmoerm::train
