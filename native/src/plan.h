#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dmoerm/engine.h"
#include "task.h"
#include "weights.h"

namespace dmoerm {

/// Rows on their way through the layers, without padding. Rows of a group have the same adapter; segments lie in
/// the order of their rows, none crosses a group's border.
struct Rows {
  std::vector<RowGroup> groups;
  std::vector<const AdapterWeights*> adapters;  ///< by group
  std::vector<int32_t> positions;
  std::vector<AttentionSegment> segments;
  std::vector<Panel> panels;  ///< of the groups; the forward pass adds them

  int64_t count() const { return static_cast<int64_t>(positions.size()); }
  int64_t panel_count() const { return static_cast<int64_t>(panels.size()); }
};

/// An expert that goes its own way from the fork layer on.
struct Branch {
  int64_t group = 0;  ///< of the trunk's rows that it reads
  const AdapterWeights* adapter = nullptr;
};

/// Rows laid out for one forward pass, task by task: each prompt once, followed by its candidates, then (readout)
/// the invocation tokens expert by expert.
struct Plan {
  std::vector<int32_t> tokens;
  Rows rows;
  /// Rows whose last hidden state is an embedding: task by task, for readout by expert and then
  /// candidate.
  std::vector<int64_t> pooled_at;
  /// They as rows of their own, group by group as in `rows`, with their keys among `rows`.
  Rows pooled;
  int64_t fork_layer = 0;        ///< of all its tasks
  std::vector<Branch> branches;  ///< task by task; empty if the experts never fork
  int32_t longest = 0;           ///< positions in use
};

/// A node of the forest: where its rows and its ancestors' rows lie.
struct PlanNode {
  std::vector<KvSpan> spans;  ///< ancestors', then its own
  int64_t end = 0;            ///< position after its last row
};

/// Lays out rows node by node.
class PlanBuilder {
 public:
  explicit PlanBuilder(Plan& plan) : plan_(plan) {}

  /// Appends rows for `tokens` below `parent`.
  PlanNode add(const PlanNode& parent, const std::vector<int32_t>& tokens);
  /// Pools the last row of `node`.
  void pool(const PlanNode& node);
  /// The rows since the last group, all and pooled, read `adapter` (may be null).
  void close_group(const AdapterWeights* adapter);

 private:
  Plan& plan_;
};

/// What one task scores in a forward pass.
struct Slice {
  const Task* task = nullptr;
  const Batch* batch = nullptr;
  int64_t index = 0;                ///< of the batch in its call
  std::vector<int64_t> candidates;  ///< indices into the batch; those of a prompt lie together
};

/// `appended`: most tokens that follow a candidate. Throws INVALID_ARGUMENT naming the prompt or candidate below
/// `field`: unknown token, empty candidate, unknown prompt, too long.
void check(const Batch& batch, int64_t appended, const ModelConfig& config,
           const std::string& field);

/// Throw INVALID_ARGUMENT naming `field` for a token outside the vocabulary, a sequence longer than the base takes.
void check_tokens(const std::vector<int32_t>& tokens, const ModelConfig& config,
                  const std::string& field);
void check_length(int64_t length, const ModelConfig& config, const std::string& field);

/// Divides checked batches into forward passes. Tasks that fork in the same layer share passes; none has more than
/// `max_rows` rows before experts fork, unless it is a single candidate. A prompt whose candidates fall into
/// several passes is computed in each; its candidates keep their bits. Prompts without candidates
/// are left out.
std::vector<std::vector<Slice>> divide(const std::vector<Batch>& batches,
                                       const std::vector<const Task*>& tasks, int64_t max_rows);

/// Lays out one forward pass.
Plan make_plan(const std::vector<Slice>& slices, const ModelConfig& config);

}  // namespace dmoerm
