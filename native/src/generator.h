#pragma once

#include <atomic>
#include <vector>

#include "dmoerm/engine.h"
#include "model.h"
#include "task.h"
#include "weights.h"

namespace dmoerm {

/// Keys, values and logits of completions in flight, kept between calls.
struct GenerationMemory {
  std::vector<KeyValues> kept;  ///< by layer
  Buffer<float> embeddings, logits, terms, heated;
  std::vector<float> read_logits, read_terms, read_heated;  ///< what a device has of them
  PackedRows input;

  int64_t bytes() const;
};

/// Throws INVALID_ARGUMENT naming the field.
void check(const Generation& generation, const ModelConfig& config);

/// Continues the prompts of a checked request, `max_sequences` at a time: as one ends, the next begins. `adapter` acts
/// on all rows; `head` (V,C). Each pass takes a token of every sequence in flight and the prompts of those that begin.
std::vector<Completion> generate(const Generation& generation, const AdapterWeights& adapter,
                                 const BaseWeights& base, const Matrix& head, const Ops& ops,
                                 ThreadPool& pool, Workspace& workspace, GenerationMemory& memory,
                                 int64_t max_rows, const std::atomic<bool>& cancelled);

}  // namespace dmoerm
