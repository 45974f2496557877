#include "dmoerm/engine.h"

#ifdef __linux__
#include <malloc.h>
#endif

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "backend.h"
#include "dmoerm/error.h"
#include "generator.h"
#include "model.h"
#include "plan.h"
#include "task.h"
#include "weights.h"

namespace dmoerm {

const char* code_name(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case Code::kNotFound:
      return "NOT_FOUND";
    case Code::kDataLoss:
      return "DATA_LOSS";
    case Code::kCancelled:
      return "CANCELLED";
    case Code::kResourceExhausted:
      return "RESOURCE_EXHAUSTED";
    case Code::kFailedPrecondition:
      return "FAILED_PRECONDITION";
    case Code::kUnimplemented:
      return "UNIMPLEMENTED";
    case Code::kInternal:
      break;
  }
  return "INTERNAL";
}

namespace {

/// Value head: summed in double, coordinates ascending.
float score(const float* embedding, const Expert& expert) {
  double sum = 0;
  for (size_t c = 0; c < expert.head_weight.size(); ++c)
    sum += static_cast<double>(embedding[c]) * static_cast<double>(expert.head_weight[c]);
  return static_cast<float>(sum + static_cast<double>(expert.head_bias));
}

/// Puts a slice's embeddings, which begin at `pooled`, into its batch's outputs, with their scores.
/// Returns where the next slice's begin.
const float* take(Outputs& outputs, const Slice& slice, const float* pooled,
                  const ModelConfig& config) {
  const Task& task = *slice.task;
  const int64_t C = config.hidden_size;
  const auto N = static_cast<int64_t>(slice.candidates.size());
  const auto K = static_cast<int64_t>(task.experts.size());
  // Experts that never differ share one embedding per candidate.
  const bool per_expert = task.plan == PlanType::kReadout || task.fork_layer < config.layer_count;
  for (int64_t i = 0; i < N; ++i)
    for (int64_t e = 0; e < K; ++e) {
      const float* embedding = pooled + ((per_expert ? e * N : 0) + i) * C;
      const int64_t at = slice.candidates[i] * K + e;
      std::copy(embedding, embedding + C, outputs.embeddings.data() + at * C);
      outputs.scores[at] = score(embedding, task.experts[e]);
    }
  return pooled + (per_expert ? K : 1) * N * C;
}

}  // namespace

struct Engine::State {
  State(const ModelSource& source, const EngineOptions& wanted)
      : options(wanted),
        ops(select_backend(options.isa)),
        device(ops.open == nullptr ? nullptr : ops.open()),
        pool(choose_threads(options.threads), device == nullptr ? host_memory() : *device),
        base(load_base(source, weight_type_of(options, ops), options.cache, ops, pool)) {
    if (options.max_rows < 1)
      throw Error(Code::kInvalidArgument, "BAD_MAX_ROWS", "maxRows", "maxRows must be at least 1");
  }

  const Task& task(int64_t handle, const std::string& field) {
    const auto found = tasks.find(handle);
    if (found == tasks.end())
      throw Error(Code::kNotFound, "UNKNOWN_TASK_HANDLE", field,
                  "this engine has no task " + std::to_string(handle));
    return found->second;
  }

  std::mutex mutex;
  const EngineOptions options;
  const Ops& ops;
  const std::unique_ptr<Memory> device;  ///< outlives what lies in its memory
  ThreadPool pool;
  BaseWeights base;
  std::map<int64_t, Task> tasks;
  int64_t next_task = 1;
  Workspace workspace;
  std::optional<Matrix> head;  ///< packed when generation first asks for it
  GenerationMemory generation;
  const AdapterWeights no_adapter;
};

Engine::Engine(const ModelSource& source, const EngineOptions& options)
    : state_(std::make_unique<State>(source, options)) {}

Engine::~Engine() = default;

int64_t Engine::add_task(const TaskSource& source) {
  const std::lock_guard lock(state_->mutex);
  Task task = load_task(source, state_->base.config, state_->base.type, state_->ops, state_->pool);
  const int64_t handle = state_->next_task++;
  state_->tasks.emplace(handle, std::move(task));
#ifdef __GLIBC__
  malloc_trim(0);  // the adapters' unpacked tensors, which the allocator would keep for later
#endif
  return handle;
}

void Engine::remove_task(int64_t task) {
  const std::lock_guard lock(state_->mutex);
  state_->task(task, "task");
  state_->tasks.erase(task);
}

Evaluation Engine::evaluate(const std::vector<Batch>& batches, const std::atomic<bool>& cancelled) {
  const std::lock_guard lock(state_->mutex);
  const auto start = std::chrono::steady_clock::now();
  const ModelConfig& config = state_->base.config;
  Evaluation evaluation;
  std::vector<const Task*> tasks;
  for (size_t i = 0; i < batches.size(); ++i) {
    const std::string field = "batches[" + std::to_string(i) + "]";
    tasks.push_back(&state_->task(batches[i].task, field + ".task"));
    check(batches[i], tasks[i]->longest_readout(), config, field);
    const size_t scores = batches[i].candidates.size() * tasks[i]->experts.size();
    evaluation.outputs.push_back(
        {std::vector<float>(scores * config.hidden_size), std::vector<float>(scores)});
  }
  for (const std::vector<Slice>& slices : divide(batches, tasks, state_->options.max_rows)) {
    const std::vector<float> pooled =
        forward(make_plan(slices, config), state_->base, state_->ops, state_->pool,
                state_->workspace, state_->options.max_rows, cancelled);
    const float* next = pooled.data();
    for (const Slice& slice : slices)
      next = take(evaluation.outputs[slice.index], slice, next, config);
  }
  evaluation.engine_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start)
          .count();
  return evaluation;
}

std::vector<Completion> Engine::generate(const Generation& generation,
                                         const std::atomic<bool>& cancelled) {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  const AdapterWeights& adapter =
      generation.task == 0 ? s.no_adapter : s.task(generation.task, "task").adapter;
  check(generation, s.base.config);
  if (!s.head) s.head = load_head(s.base, s.ops, s.pool);
  return dmoerm::generate(generation, adapter, s.base, *s.head, s.ops, s.pool, s.workspace,
                          s.generation, s.options.max_rows, cancelled);
}

const char* Engine::isa() const { return state_->ops.name; }

int Engine::threads() const { return state_->pool.size(); }

WeightType Engine::weight_type() const { return state_->base.type; }

PackedState Engine::packed_state() const { return state_->base.packed_state; }

EngineMemory Engine::memory() {
  const std::lock_guard lock(state_->mutex);
  EngineMemory memory{state_->base.bytes() + (state_->head ? state_->head->bytes : 0), 0,
                      state_->workspace.bytes() + state_->generation.bytes()};
  for (const auto& [handle, task] : state_->tasks) memory.tasks += task.bytes();
  return memory;
}

}  // namespace dmoerm
