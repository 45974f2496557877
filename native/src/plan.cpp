#include "plan.h"

#include <algorithm>
#include <string>

#include "dmoerm/error.h"

namespace dmoerm {
namespace {

/// A node of the forest: where its rows and its ancestors' rows lie.
struct Node {
  std::vector<KvSpan> spans;  ///< ancestors', then its own
  int64_t end = 0;            ///< position after its last row
};

class Builder {
 public:
  Builder(Plan& plan, const ModelConfig& config) : plan_(plan), config_(config) {}

  /// Appends rows for `tokens` below `parent`.
  Node add(const Node& parent, const std::vector<int32_t>& tokens, const std::string& field) {
    Node node = parent;
    const auto count = static_cast<int64_t>(tokens.size());
    if (parent.end + count > config_.max_positions)
      throw Error(Code::kInvalidArgument, "TOO_LONG", field,
                  "the sequence has " + std::to_string(parent.end + count) +
                      " tokens, the base takes " + std::to_string(config_.max_positions));
    if (count == 0) return node;
    const auto row = static_cast<int64_t>(plan_.tokens.size());
    for (const int32_t token : tokens) {
      if (token < 0 || token >= config_.vocab_size)
        throw Error(Code::kInvalidArgument, "UNKNOWN_TOKEN", field,
                    "token " + std::to_string(token) + " is outside the vocabulary of " +
                        std::to_string(config_.vocab_size));
      plan_.tokens.push_back(token);
      plan_.positions.push_back(static_cast<int32_t>(node.end++));
    }
    node.spans.push_back({row, count});
    plan_.segments.push_back({row, count, parent.end, node.spans});
    plan_.longest = std::max(plan_.longest, static_cast<int32_t>(node.end));
    return node;
  }

  void close_group() {
    const int64_t begin =
        plan_.groups.empty() ? 0 : plan_.groups.back().begin + plan_.groups.back().count;
    plan_.groups.push_back({begin, static_cast<int64_t>(plan_.tokens.size()) - begin});
  }

  /// Pools the last row of `node`.
  void pool(const Node& node) {
    const auto index = static_cast<int64_t>(plan_.pooled_rows.size());
    plan_.pooled_rows.push_back(node.spans.back().row + node.spans.back().count - 1);
    plan_.pooled_segments.push_back({index, 1, node.end - 1, node.spans});
  }

  void close_pooled_group() {
    const int64_t begin = plan_.pooled_groups.empty()
                              ? 0
                              : plan_.pooled_groups.back().begin + plan_.pooled_groups.back().count;
    plan_.pooled_groups.push_back({begin, static_cast<int64_t>(plan_.pooled_rows.size()) - begin});
  }

 private:
  Plan& plan_;
  const ModelConfig& config_;
};

}  // namespace

Plan make_plan(const Batch& batch, const Task& task, const ModelConfig& config) {
  Plan plan;
  Builder builder(plan, config);
  std::vector<Node> prompts;
  for (size_t i = 0; i < batch.prompts.size(); ++i)
    prompts.push_back(builder.add({}, batch.prompts[i], "prompts[" + std::to_string(i) + "]"));
  std::vector<Node> candidates;
  for (size_t i = 0; i < batch.candidates.size(); ++i) {
    const Candidate& candidate = batch.candidates[i];
    const std::string field = "candidates[" + std::to_string(i) + "]";
    if (candidate.prompt < 0 || candidate.prompt >= static_cast<int64_t>(prompts.size()))
      throw Error(Code::kInvalidArgument, "UNKNOWN_PROMPT", field + ".prompt",
                  "the candidate names no prompt of the batch");
    if (candidate.tokens.empty())
      throw Error(Code::kInvalidArgument, "EMPTY_CANDIDATE", field, "the candidate has no tokens");
    candidates.push_back(builder.add(prompts[candidate.prompt], candidate.tokens, field));
  }
  builder.close_group();
  if (task.plan != PlanType::kReadout) {
    for (const Node& candidate : candidates) builder.pool(candidate);
    builder.close_pooled_group();
    return plan;
  }
  builder.close_pooled_group();  // the trunk pools nothing
  for (const Expert& expert : task.experts) {
    for (size_t i = 0; i < candidates.size(); ++i)
      builder.pool(builder.add(candidates[i], expert.invocation_tokens,
                               "candidates[" + std::to_string(i) + "]"));
    builder.close_group();
    builder.close_pooled_group();
  }
  return plan;
}

std::vector<BatchPart> divide(const Batch& batch, const Task& task, int64_t max_rows) {
  std::vector<std::vector<int64_t>> by_prompt(batch.prompts.size());
  for (size_t i = 0; i < batch.candidates.size(); ++i)
    by_prompt[batch.candidates[i].prompt].push_back(static_cast<int64_t>(i));
  int64_t readout = 0;
  for (const Expert& expert : task.experts)
    readout += static_cast<int64_t>(expert.invocation_tokens.size());

  std::vector<BatchPart> parts;
  int64_t rows = 0;
  for (size_t prompt = 0; prompt < by_prompt.size(); ++prompt) {
    const auto prompt_rows = static_cast<int64_t>(batch.prompts[prompt].size());
    bool here = false;  // the current part has this prompt
    for (const int64_t i : by_prompt[prompt]) {
      const std::vector<int32_t>& tokens = batch.candidates[i].tokens;
      const int64_t own = static_cast<int64_t>(tokens.size()) + readout;
      if (parts.empty() || rows + own + (here ? 0 : prompt_rows) > max_rows) {
        parts.emplace_back();
        rows = 0;
        here = false;
      }
      BatchPart& part = parts.back();
      if (!here) {
        part.batch.prompts.push_back(batch.prompts[prompt]);
        rows += prompt_rows;
        here = true;
      }
      part.batch.candidates.push_back(
          {static_cast<int64_t>(part.batch.prompts.size()) - 1, tokens});
      part.candidates.push_back(i);
      rows += own;
    }
  }
  return parts;
}

}  // namespace dmoerm
