#pragma once

#include <cstdint>
#include <vector>

#include "dmoerm/engine.h"
#include "task.h"

namespace dmoerm {

/// A batch laid out for the forward pass of one task: rows without padding, prompts first, then
/// candidates, then (readout) the invocation tokens expert by expert. Prompts are there once,
/// however many candidates they have.
struct Plan {
  std::vector<int32_t> tokens;     ///< (T)
  std::vector<int32_t> positions;  ///< (T)
  std::vector<RowGroup>
      groups;  ///< rows with the same adapter: group 0 is the trunk, readout adds one per expert
  std::vector<AttentionSegment> segments;
  /// Rows whose last hidden state is an embedding; by candidate, for readout by expert and then
  /// candidate.
  std::vector<int64_t> pooled_rows;
  std::vector<RowGroup> pooled_groups;            ///< of `pooled_rows`, parallel to `groups`
  std::vector<AttentionSegment> pooled_segments;  ///< one query each: the pooled rows
  int32_t longest = 0;                            ///< positions in use
};

/// Throws INVALID_ARGUMENT naming the prompt or candidate: unknown token, empty candidate, unknown
/// prompt, too long.
Plan make_plan(const Batch& batch, const Task& task, const ModelConfig& config);

/// Part of a batch, small enough to be computed at once.
struct BatchPart {
  Batch batch;
  std::vector<int64_t> candidates;  ///< where the part's candidates stand in the whole batch
};

/// Divides a batch so that no part has more than `max_rows` rows before experts fork, unless it is a single
/// candidate. A prompt whose candidates fall into several parts is computed in each; its candidates
/// keep their bits. Prompts without candidates are left out.
/// Throws INVALID_ARGUMENT naming the candidate for a prompt that the batch does not have.
std::vector<BatchPart> divide(const Batch& batch, const Task& task, int64_t max_rows);

}  // namespace dmoerm
