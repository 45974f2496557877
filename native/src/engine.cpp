#include "dmoerm/engine.h"

#ifdef __linux__
#include <malloc.h>
#endif

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "dmoerm/error.h"
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

int choose_threads(int wanted) {
  if (wanted < 0 || wanted > 1024)
    throw Error(Code::kInvalidArgument, "BAD_THREADS", "threads",
                "threads must lie between 0 (all cores) and 1024");
  return wanted > 0 ? wanted : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

/// Value head: summed in double, coordinates ascending.
float score(const float* embedding, const Expert& expert) {
  double sum = 0;
  for (size_t c = 0; c < expert.head_weight.size(); ++c)
    sum += static_cast<double>(embedding[c]) * static_cast<double>(expert.head_weight[c]);
  return static_cast<float>(sum + static_cast<double>(expert.head_bias));
}

}  // namespace

struct Engine::State {
  State(const ModelSource& source, const EngineOptions& wanted)
      : options(wanted),
        ops(select_ops(options.isa.c_str())),
        pool(choose_threads(options.threads)),
        base(load_base(source, options.weight_type.value_or(default_weight_type(ops)),
                       options.cache, ops, pool)) {
    if (options.max_rows < 1)
      throw Error(Code::kInvalidArgument, "BAD_MAX_ROWS", "maxRows", "maxRows must be at least 1");
  }

  Task& task(int64_t handle) {
    const auto found = tasks.find(handle);
    if (found == tasks.end())
      throw Error(Code::kNotFound, "UNKNOWN_TASK_HANDLE", "task",
                  "this engine has no task " + std::to_string(handle));
    return found->second;
  }

  std::mutex mutex;
  const EngineOptions options;
  const Ops& ops;
  ThreadPool pool;
  BaseWeights base;
  std::map<int64_t, Task> tasks;
  int64_t next_task = 1;
  Workspace workspace;
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
  state_->task(task);
  state_->tasks.erase(task);
}

Evaluation Engine::evaluate(int64_t handle, const Batch& batch,
                            const std::atomic<bool>& cancelled) {
  const std::lock_guard lock(state_->mutex);
  const auto start = std::chrono::steady_clock::now();
  const Task& task = state_->task(handle);
  const ModelConfig& config = state_->base.config;
  const auto N = static_cast<int64_t>(batch.candidates.size());
  const auto K = static_cast<int64_t>(task.experts.size());
  const int64_t C = config.hidden_size;
  Evaluation result;
  const Plan plan = make_plan(batch, task, config);
  if (N == 0) return result;
  result.embeddings.resize(N * K * C);
  result.scores.resize(N * K);
  // Experts that never differ share one embedding per candidate.
  const bool per_expert = task.plan == PlanType::kReadout || task.fork_layer < config.layer_count;
  const auto run = [&](const Plan& rows, const auto& candidate_at) {
    const std::vector<float> pooled =
        forward(rows, task, state_->base, state_->ops, state_->pool, state_->workspace,
                state_->options.max_rows, cancelled);
    const auto count =
        static_cast<int64_t>(rows.pooled_rows.size()) / (task.plan == PlanType::kReadout ? K : 1);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t e = 0; e < K; ++e) {
        const float* embedding = pooled.data() + ((per_expert ? e * count : 0) + i) * C;
        const int64_t at = candidate_at(i) * K + e;
        std::copy(embedding, embedding + C, result.embeddings.data() + at * C);
        result.scores[at] = score(embedding, task.experts[e]);
      }
  };
  if (static_cast<int64_t>(plan.tokens.size()) <= state_->options.max_rows) {
    run(plan, [](int64_t i) { return i; });
  } else {
    for (const BatchPart& part : divide(batch, task, state_->options.max_rows))
      run(make_plan(part.batch, task, config), [&](int64_t i) { return part.candidates[i]; });
  }
  result.engine_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start)
          .count();
  return result;
}

const char* Engine::isa() const { return state_->ops.name; }

int Engine::threads() const { return state_->pool.size(); }

WeightType Engine::weight_type() const { return state_->base.type; }

PackedState Engine::packed_state() const { return state_->base.packed_state; }

EngineMemory Engine::memory() {
  const std::lock_guard lock(state_->mutex);
  EngineMemory memory{state_->base.bytes(), 0, state_->workspace.bytes()};
  for (const auto& [handle, task] : state_->tasks) memory.tasks += task.bytes();
  return memory;
}

}  // namespace dmoerm
