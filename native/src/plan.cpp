#include "plan.h"

#include <algorithm>
#include <numeric>

#include "dmoerm/error.h"

namespace dmoerm {
namespace {

int64_t size_of(const std::vector<int32_t>& tokens) { return static_cast<int64_t>(tokens.size()); }

}  // namespace

void check_tokens(const std::vector<int32_t>& tokens, const ModelConfig& config,
                  const std::string& field) {
  for (const int32_t token : tokens)
    if (token < 0 || token >= config.vocab_size)
      throw Error(Code::kInvalidArgument, "UNKNOWN_TOKEN", field,
                  "token " + std::to_string(token) + " is outside the vocabulary of " +
                      std::to_string(config.vocab_size));
}

void check_length(int64_t length, const ModelConfig& config, const std::string& field) {
  if (length > config.max_positions)
    throw Error(Code::kInvalidArgument, "TOO_LONG", field,
                "the sequence has " + std::to_string(length) + " tokens, the base takes " +
                    std::to_string(config.max_positions));
}

PlanNode PlanBuilder::add(const PlanNode& parent, const std::vector<int32_t>& tokens) {
  if (tokens.empty()) return parent;
  PlanNode node = parent;
  const int64_t row = plan_.rows.count();
  for (const int32_t token : tokens) {
    plan_.tokens.push_back(token);
    plan_.rows.positions.push_back(static_cast<int32_t>(node.end++));
  }
  node.spans.push_back({row, size_of(tokens)});
  plan_.rows.segments.push_back({row, size_of(tokens), parent.end, node.spans});
  plan_.longest = std::max(plan_.longest, static_cast<int32_t>(node.end));
  return node;
}

void PlanBuilder::pool(const PlanNode& node) {
  const int64_t index = plan_.pooled.count();
  plan_.pooled_at.push_back(node.spans.back().row + node.spans.back().count - 1);
  plan_.pooled.positions.push_back(static_cast<int32_t>(node.end - 1));
  plan_.pooled.segments.push_back({index, 1, node.end - 1, node.spans});
}

void PlanBuilder::close_group(const AdapterWeights* adapter) {
  for (Rows* rows : {&plan_.rows, &plan_.pooled}) {
    const int64_t begin =
        rows->groups.empty() ? 0 : rows->groups.back().begin + rows->groups.back().count;
    rows->groups.push_back({begin, rows->count() - begin});
    rows->adapters.push_back(adapter);
  }
}

void check(const Batch& batch, int64_t appended, const ModelConfig& config,
           const std::string& field) {
  for (size_t i = 0; i < batch.prompts.size(); ++i) {
    const std::string name = field + ".prompts[" + std::to_string(i) + "]";
    check_length(size_of(batch.prompts[i]), config, name);
    check_tokens(batch.prompts[i], config, name);
  }
  for (size_t i = 0; i < batch.candidates.size(); ++i) {
    const Candidate& candidate = batch.candidates[i];
    const std::string name = field + ".candidates[" + std::to_string(i) + "]";
    if (candidate.prompt < 0 || candidate.prompt >= static_cast<int64_t>(batch.prompts.size()))
      throw Error(Code::kInvalidArgument, "UNKNOWN_PROMPT", name + ".prompt",
                  "the candidate names no prompt of the batch");
    if (candidate.tokens.empty())
      throw Error(Code::kInvalidArgument, "EMPTY_CANDIDATE", name, "the candidate has no tokens");
    check_length(size_of(batch.prompts[candidate.prompt]) + size_of(candidate.tokens) + appended,
                 config, name);
    check_tokens(candidate.tokens, config, name);
  }
}

std::vector<std::vector<Slice>> divide(const std::vector<Batch>& batches,
                                       const std::vector<const Task*>& tasks, int64_t max_rows) {
  std::vector<size_t> order(batches.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return tasks[a]->fork_layer < tasks[b]->fork_layer; });

  std::vector<std::vector<Slice>> parts;
  int64_t rows = 0;
  for (const size_t at : order) {
    const Batch& batch = batches[at];
    const Task& task = *tasks[at];
    std::vector<std::vector<int64_t>> by_prompt(batch.prompts.size());
    for (size_t i = 0; i < batch.candidates.size(); ++i)
      by_prompt[batch.candidates[i].prompt].push_back(static_cast<int64_t>(i));
    int64_t readout = 0;
    for (const Expert& expert : task.experts) readout += size_of(expert.invocation_tokens);
    for (size_t prompt = 0; prompt < by_prompt.size(); ++prompt) {
      bool here = false;  // the current part has this prompt
      for (const int64_t i : by_prompt[prompt]) {
        const int64_t own = size_of(batch.candidates[i].tokens) + readout;
        const int64_t more = own + (here ? 0 : size_of(batch.prompts[prompt]));
        if (parts.empty() || rows + more > max_rows ||
            parts.back().front().task->fork_layer != task.fork_layer) {
          parts.emplace_back();
          rows = 0;
          here = false;
        }
        std::vector<Slice>& part = parts.back();
        if (part.empty() || part.back().batch != &batch)
          part.push_back({&task, &batch, static_cast<int64_t>(at), {}});
        part.back().candidates.push_back(i);
        rows += own + (here ? 0 : size_of(batch.prompts[prompt]));
        here = true;
      }
    }
  }
  return parts;
}

Plan make_plan(const std::vector<Slice>& slices, const ModelConfig& config) {
  Plan plan;
  plan.fork_layer = slices.front().task->fork_layer;
  PlanBuilder builder(plan);
  for (const Slice& slice : slices) {
    const Task& task = *slice.task;
    const bool readout = task.plan == PlanType::kReadout;
    std::vector<PlanNode> candidates;
    PlanNode prompt;
    int64_t of = -1;
    for (const int64_t i : slice.candidates) {
      const Candidate& candidate = slice.batch->candidates[i];
      if (candidate.prompt != of) {
        of = candidate.prompt;
        prompt = builder.add({}, slice.batch->prompts[of]);
      }
      candidates.push_back(builder.add(prompt, candidate.tokens));
      if (!readout) builder.pool(candidates.back());
    }
    const auto group = static_cast<int64_t>(plan.rows.groups.size());
    builder.close_group(&task.adapter);
    for (const Expert& expert : task.experts) {
      if (readout) {
        for (const PlanNode& candidate : candidates)
          builder.pool(builder.add(candidate, expert.invocation_tokens));
        builder.close_group(&expert.adapter);
      } else if (task.fork_layer < config.layer_count) {
        plan.branches.push_back({group, &expert.adapter});
      }
    }
  }
  return plan;
}

}  // namespace dmoerm
