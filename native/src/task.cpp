#include "task.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "dmoerm/error.h"

namespace dmoerm {
namespace {

[[noreturn]] void refuse(const std::string& reason, const std::string& field,
                         const std::string& message) {
  throw Error(Code::kInvalidArgument, reason, field, message);
}

}  // namespace

void check_module(const LoraSource& module, const ModelConfig& config, const std::string& field) {
  if (module.layer < 0 || module.layer >= config.layer_count || module.rank <= 0 ||
      !std::isfinite(module.scale))
    refuse("BAD_ADAPTER", field,
           "an adapter module names a layer outside the base, or has no rank or a bad scale");
  const LinearShape shape = linear_shape(config, module.target);
  if (module.a.shape != std::vector<int64_t>{module.rank, shape.in} ||
      module.b.shape != std::vector<int64_t>{shape.out, module.rank})
    refuse("ADAPTER_FOR_ANOTHER_BASE", field,
           std::string("the adapter's ") + target_name(module.target) + " in layer " +
               std::to_string(module.layer) + " does not fit the base: the base has " +
               std::to_string(shape.in) + " inputs and " + std::to_string(shape.out) +
               " outputs there");
}

namespace {

void check_expert(const ExpertSource& expert, const TaskSource& task, const ModelConfig& config,
                  const std::string& field) {
  if (static_cast<int64_t>(expert.head_weight.size()) != config.hidden_size)
    refuse("HEAD_FOR_ANOTHER_BASE", field + ".head",
           "the value head has " + std::to_string(expert.head_weight.size()) +
               " weights, the base's hidden size is " + std::to_string(config.hidden_size));
  check_finite(field + ".head.weight", expert.head_weight.data(), config.hidden_size);
  check_finite(field + ".head.bias", &expert.head_bias, 1);
  if (expert.invocation_tokens.empty() != (task.plan != PlanType::kReadout))
    refuse(
        "BAD_INVOCATION_TOKENS", field + ".invocation_tokens",
        "experts of the readout plan need invocation tokens, those of the other plans have none");
  for (const int32_t token : expert.invocation_tokens)
    if (token < 0 || token >= config.vocab_size)
      refuse("UNKNOWN_TOKEN", field + ".invocation_tokens",
             "token " + std::to_string(token) + " is outside the vocabulary of " +
                 std::to_string(config.vocab_size));
  for (const LoraSource& module : expert.adapter) {
    check_module(module, config, field + ".adapter");
    if (task.plan == PlanType::kTopLayers && module.layer < config.layer_count - task.top_layers)
      refuse("ADAPTER_BELOW_FORK", field + ".adapter",
             "the plan adapts the top " + std::to_string(task.top_layers) + " of " +
                 std::to_string(config.layer_count) + " layers, but the adapter acts on layer " +
                 std::to_string(module.layer));
  }
}

std::vector<const LoraSource*> pointers(const std::vector<LoraSource>& first,
                                        const std::vector<LoraSource>& second = {}) {
  std::vector<const LoraSource*> all;
  for (const LoraSource& module : first) all.push_back(&module);
  for (const LoraSource& module : second) all.push_back(&module);
  return all;
}

}  // namespace

Site site_of(Target target) {
  switch (target) {
    case Target::kQ:
    case Target::kK:
    case Target::kV:
      return Site::kAttention;
    case Target::kO:
      return Site::kOutput;
    case Target::kGate:
    case Target::kUp:
      return Site::kMlp;
    case Target::kDown:
      break;
  }
  return Site::kDown;
}

WeightType lora_type(WeightType type) {
  return type == WeightType::kF32 ? WeightType::kF32 : WeightType::kBF16;
}

AdapterWeights pack_adapter(const std::vector<LoraModule>& modules, const ModelConfig& config,
                            WeightType type, const Ops& ops, ThreadPool& pool) {
  AdapterWeights adapter;
  if (modules.empty()) return adapter;
  adapter.downs_.resize(config.layer_count * kSiteCount);
  adapter.ups_.resize(config.layer_count * kTargetCount);
  adapter.offsets_.resize(config.layer_count * kTargetCount);
  for (int64_t layer = 0; layer < config.layer_count; ++layer) {
    std::array<std::vector<float>, kSiteCount> downs;
    for (int t = 0; t < kTargetCount; ++t) {
      const LinearShape shape = linear_shape(config, static_cast<Target>(t));
      std::vector<float>& down = downs[static_cast<size_t>(site_of(static_cast<Target>(t)))];
      const auto offset = static_cast<int64_t>(down.size()) / shape.in;
      int64_t rank = 0;
      for (const LoraModule& module : modules) {
        if (module.layer != layer || static_cast<int>(module.target) != t) continue;
        rank += module.rank;
        down.insert(down.end(), module.a, module.a + module.rank * shape.in);
      }
      if (rank == 0) continue;
      const int64_t padded = (rank + ops.lora_align - 1) / ops.lora_align * ops.lora_align;
      down.resize((offset + padded) * shape.in, 0.0f);
      std::vector<float> up(shape.out * rank);
      int64_t column = 0;
      for (const LoraModule& module : modules) {
        if (module.layer != layer || static_cast<int>(module.target) != t) continue;
        for (int64_t n = 0; n < shape.out; ++n)
          for (int64_t r = 0; r < module.rank; ++r)
            up[n * rank + column + r] = module.scale * module.b[n * module.rank + r];
        column += module.rank;
      }
      const int64_t at = layer * kTargetCount + t;
      adapter.offsets_[at] = offset;
      ops.pack_matrix(adapter.ups_[at], up.data(), shape.out, rank, type, pool);
    }
    for (int s = 0; s < kSiteCount; ++s) {
      if (downs[s].empty()) continue;
      const int64_t in = s == static_cast<int>(Site::kDown) ? config.ffn_size
                         : s == static_cast<int>(Site::kOutput)
                             ? config.head_count * config.head_dim
                             : config.hidden_size;
      ops.pack_matrix(adapter.downs_[layer * kSiteCount + s], downs[s].data(),
                      static_cast<int64_t>(downs[s].size()) / in, in, type, pool);
    }
  }
  return adapter;
}

AdapterWeights load_adapter(const std::vector<const LoraSource*>& sources,
                            const TensorReader& reader, const ModelConfig& config, WeightType type,
                            const Ops& ops, ThreadPool& pool) {
  std::vector<std::vector<float>> tensors;
  std::vector<LoraModule> modules;
  for (const LoraSource* source : sources) {
    tensors.push_back(reader.read(source->a));
    tensors.push_back(reader.read(source->b));
    modules.push_back({source->layer, source->target, source->rank, source->scale,
                       tensors[tensors.size() - 2].data(), tensors.back().data()});
  }
  return pack_adapter(modules, config, type, ops, pool);
}

int64_t AdapterWeights::bytes() const {
  int64_t bytes = 0;
  for (const Matrix& matrix : downs_) bytes += matrix.bytes;
  for (const Matrix& matrix : ups_) bytes += matrix.bytes;
  return bytes;
}

int64_t Task::bytes() const {
  int64_t bytes = adapter.bytes();
  for (const Expert& expert : experts)
    bytes +=
        expert.adapter.bytes() + static_cast<int64_t>(expert.head_weight.size() * sizeof(float));
  return bytes;
}

int64_t Task::longest_readout() const {
  size_t longest = 0;
  for (const Expert& expert : experts) longest = std::max(longest, expert.invocation_tokens.size());
  return static_cast<int64_t>(longest);
}

Task load_task(const TaskSource& source, const ModelConfig& config, WeightType type, const Ops& ops,
               ThreadPool& pool) {
  if (source.experts.empty()) refuse("NO_EXPERTS", "experts", "a task needs at least one expert");
  if (source.plan == PlanType::kTopLayers &&
      (source.top_layers < 1 || source.top_layers > config.layer_count))
    refuse("BAD_PLAN", "plan.layers",
           "top_layers must lie between 1 and the base's " + std::to_string(config.layer_count) +
               " layers");
  for (const LoraSource& module : source.adapter) check_module(module, config, "task_adapter");
  Task task;
  task.plan = source.plan;
  task.fork_layer = config.layer_count;
  const TensorReader reader(source.files);
  type = lora_type(type);
  task.adapter = load_adapter(pointers(source.adapter), reader, config, type, ops, pool);
  for (size_t e = 0; e < source.experts.size(); ++e) {
    const ExpertSource& from = source.experts[e];
    check_expert(from, source, config, "experts[" + std::to_string(e) + "]");
    Expert expert;
    expert.adapter =
        load_adapter(pointers(source.adapter, from.adapter), reader, config, type, ops, pool);
    expert.invocation_tokens = from.invocation_tokens;
    expert.head_weight = from.head_weight;
    expert.head_bias = from.head_bias;
    task.experts.push_back(std::move(expert));
    if (source.plan != PlanType::kReadout)
      for (const LoraSource& module : from.adapter)
        task.fork_layer = std::min(task.fork_layer, module.layer);
  }
  return task;
}

}  // namespace dmoerm
