#include "learned_model.h"

#include <algorithm>

#include "backend.h"
#include "base_tensors.h"
#include "check.h"

namespace dmoerm::train {

std::string expert_prefix(size_t expert) { return "experts." + std::to_string(expert) + "."; }

LearnedModel::LearnedModel(const ModelSource& source, const TrainerOptions& wanted)
    : options(wanted),
      ops(select_backend(options.isa)),
      gradients(gradients_of(ops)),
      device(ops.open == nullptr ? nullptr : ops.open()),
      pool(choose_threads(options.threads), device == nullptr ? host_memory() : *device),
      parameters(gradients, pool) {
  check_options(options, source.config);
  base.weights = load_base(source, options.weight_type, "", ops, pool);
  config = base.weights.config;
  load_linear(source);
  if (options.train_base) add_base(source);
  for (size_t e = 0; e < options.experts.size(); ++e) add_expert(e);
  if (options.train_base) refer_to_base();
  adapters.resize(options.experts.size());
  for (size_t e = 0; e < options.experts.size(); ++e) changed.insert(static_cast<int64_t>(e));
  network = std::make_unique<Network>(base, ops, gradients, pool);
}

void LearnedModel::load_linear(const ModelSource& source) {
  const BaseTensors tensors(source, *base.weights.reader);
  const TensorReader adapters(options.files);
  base.transposed.resize(config.layer_count * kTargetCount);
  for (int64_t l = 0; l < config.layer_count; ++l)
    for (int t = 0; t < kTargetCount; ++t) {
      const auto target = static_cast<Target>(t);
      const bool passed = l >= first_layer(options, config);
      const bool adapted = std::any_of(
          options.task_adapter.begin(), options.task_adapter.end(),
          [&](const LoraSource& one) { return one.layer == l && one.target == target; });
      if (!passed && !adapted) continue;
      const LinearShape shape = linear_shape(config, target);
      std::vector<float> weight = tensors.read(linear_name(l, target), {shape.out, shape.in});
      for (const LoraSource& one : options.task_adapter)
        if (one.layer == l && one.target == target) merge(weight, one, adapters, shape);
      if (adapted)
        ops.pack_matrix(base.weights.layers[l].linear[t], weight.data(), shape.out, shape.in,
                        options.weight_type, pool);
      if (passed)
        pack_transposed(base.transposed[l * kTargetCount + t], weight.data(), shape.out, shape.in);
    }
}

void LearnedModel::merge(std::vector<float>& w, const LoraSource& lora, const TensorReader& reader,
                         const LinearShape& shape) {
  check_module(lora, config, "task_adapter");
  const std::vector<float> a = reader.read(lora.a);
  const std::vector<float> b = reader.read(lora.b);
  pool.run(shape.out, [&](int64_t n, int) {
    for (int64_t r = 0; r < lora.rank; ++r) {
      const float factor = lora.scale * b[n * lora.rank + r];
      for (int64_t k = 0; k < shape.in; ++k) w[n * shape.in + k] += factor * a[r * shape.in + k];
    }
  });
}

void LearnedModel::pack_transposed(Matrix& out, const float* w, int64_t N, int64_t K) {
  turned.reserve(N * K);
  const GradientOps& on_host = device == nullptr ? gradients : gradients_of(select_ops("auto"));
  on_host.transpose(turned.data(), w, N, K, pool);
  ops.pack_matrix(out, turned.data(), K, N, options.weight_type, pool);
}

void LearnedModel::add_base(const ModelSource& source) {
  const BaseTensors tensors(source, *base.weights.reader);
  const int64_t C = config.hidden_size;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape,
                       ParameterKind kind) {
    Parameter& parameter = parameters.add(name, shape, kBaseUnit, kind);
    const std::vector<float> values = tensors.read(name, shape);
    pool.memory().write(parameter.value.data(), values.data(), parameter.bytes());
  };
  add("embed_tokens.weight", {config.vocab_size, C}, ParameterKind::kMatrix);
  add("norm.weight", {C}, ParameterKind::kVector);
  for (int64_t l = 0; l < config.layer_count; ++l) {
    const std::string prefix = "layers." + std::to_string(l) + ".";
    const LayerWeights& layer = base.weights.layers[l];
    add(prefix + "input_layernorm.weight", {C}, ParameterKind::kVector);
    add(prefix + "post_attention_layernorm.weight", {C}, ParameterKind::kVector);
    if (!layer.q_norm.empty())
      add(prefix + "self_attn.q_norm.weight", {config.head_dim}, ParameterKind::kVector);
    if (!layer.k_norm.empty())
      add(prefix + "self_attn.k_norm.weight", {config.head_dim}, ParameterKind::kVector);
    for (int t = 0; t < kTargetCount; ++t) {
      const LinearShape shape = linear_shape(config, static_cast<Target>(t));
      add(linear_name(l, static_cast<Target>(t)), {shape.out, shape.in}, ParameterKind::kMatrix);
      if (!layer.bias[t].empty())
        add(prefix + target_name(static_cast<Target>(t)) + ".bias", {shape.out},
            ParameterKind::kVector);
    }
  }
}

void LearnedModel::refer_to_base() {
  base.layers.resize(config.layer_count);
  const auto optional = [&](const std::string& name, bool there) {
    return there ? &parameters.find(name) : nullptr;
  };
  const auto value = [](const Parameter* parameter) {
    return parameter == nullptr ? nullptr : parameter->value.data();
  };
  // What ops read beside matrices is read where it is learned.
  Constants& constants = base.weights.constants;
  constants.table_type = TensorType::kF32;
  constants.table =
      reinterpret_cast<const uint8_t*>(value(&parameters.find("embed_tokens.weight")));
  constants.norm = value(&parameters.find("norm.weight"));
  for (int64_t l = 0; l < config.layer_count; ++l) {
    const std::string prefix = "layers." + std::to_string(l) + ".";
    const LayerWeights& from = base.weights.layers[l];
    LearnedBase::Layer& layer = base.layers[l];
    layer.input_norm = &parameters.find(prefix + "input_layernorm.weight");
    layer.post_norm = &parameters.find(prefix + "post_attention_layernorm.weight");
    layer.q_norm = optional(prefix + "self_attn.q_norm.weight", !from.q_norm.empty());
    layer.k_norm = optional(prefix + "self_attn.k_norm.weight", !from.k_norm.empty());
    Constants::Layer& read = constants.layers[l];
    read = {value(layer.input_norm),
            value(layer.post_norm),
            value(layer.q_norm),
            value(layer.k_norm),
            {}};
    for (int t = 0; t < kTargetCount; ++t) {
      layer.weight[t] = &parameters.find(linear_name(l, static_cast<Target>(t)));
      layer.bias[t] =
          optional(prefix + target_name(static_cast<Target>(t)) + ".bias", !from.bias[t].empty());
      read.bias[t] = value(layer.bias[t]);
    }
  }
}

void LearnedModel::add_expert(size_t e) {
  const auto unit = static_cast<int64_t>(e);
  for (const LoraShape& lora : options.experts[e].adapter) {
    const LinearShape shape = linear_shape(config, lora.target);
    const std::string name =
        expert_prefix(e) + "layers." + std::to_string(lora.layer) + "." + target_name(lora.target);
    parameters.add(name + ".lora_A", {lora.rank, shape.in}, unit, ParameterKind::kMatrix);
    parameters.add(name + ".lora_B", {shape.out, lora.rank}, unit, ParameterKind::kMatrix);
  }
  parameters.add(expert_prefix(e) + "head.weight", {config.hidden_size}, unit,
                 ParameterKind::kHead);
  parameters.add(expert_prefix(e) + "head.bias", {1}, unit, ParameterKind::kHead);
}

void LearnedModel::pack() {
  for (const int64_t unit : changed)
    if (unit == kBaseUnit)
      pack_base();
    else
      pack_expert(static_cast<size_t>(unit));
  changed.clear();
}

std::vector<float> LearnedModel::values_of(const Parameter& parameter) {
  std::vector<float> values(parameter.count);
  pool.memory().read(values.data(), parameter.value.data(), parameter.bytes());
  return values;
}

void LearnedModel::pack_base() {
  embedding_packed = false;
  for (int64_t l = 0; l < config.layer_count; ++l)
    for (int t = 0; t < kTargetCount; ++t) {
      const LinearShape shape = linear_shape(config, static_cast<Target>(t));
      const std::vector<float> weight = values_of(*base.layers[l].weight[t]);
      ops.pack_matrix(base.weights.layers[l].linear[t], weight.data(), shape.out, shape.in,
                      options.weight_type, pool);
      pack_transposed(base.transposed[l * kTargetCount + t], weight.data(), shape.out, shape.in);
    }
}

void LearnedModel::pack_expert(size_t e) {
  LearnedAdapter& adapter = adapters[e];
  const size_t slots = config.layer_count * kTargetCount;
  adapter.down.resize(slots);
  adapter.up.resize(slots);
  adapter.modules.resize(slots);
  adapter.dropout = options.experts[e].dropout;
  std::vector<LoraModule> modules;
  std::vector<std::vector<float>> values;  ///< that modules point to
  for (const LoraShape& lora : options.experts[e].adapter) {
    const std::string name =
        expert_prefix(e) + "layers." + std::to_string(lora.layer) + "." + target_name(lora.target);
    const LinearShape shape = linear_shape(config, lora.target);
    const size_t at = LearnedAdapter::at(lora.layer, lora.target);
    Parameter& a = parameters.find(name + ".lora_A");
    Parameter& b = parameters.find(name + ".lora_B");
    adapter.modules[at] = {&a, &b, lora.scale};
    values.push_back(values_of(a));
    const float* a_values = values.back().data();
    values.push_back(values_of(b));
    const float* b_values = values.back().data();
    modules.push_back({lora.layer, lora.target, lora.rank, lora.scale, a_values, b_values});
    std::vector<float> scaled = values.back();
    for (float& value : scaled) value *= lora.scale;
    pack_transposed(adapter.down[at], scaled.data(), shape.out, lora.rank);
    pack_transposed(adapter.up[at], a_values, lora.rank, shape.in);
  }
  adapter.forward = pack_adapter(modules, config, options.weight_type, ops, pool);
}

void LearnedModel::pack_embedding() {
  if (embedding_packed) return;
  const int64_t V = config.vocab_size;
  const int64_t C = config.hidden_size;
  std::vector<float> table;
  if (options.train_base) {
    table = values_of(parameters.find("embed_tokens.weight"));
  } else {
    table.resize(V * C);
    pool.run(V, [&](int64_t token, int) {
      base.weights.embedding.row(table.data() + token * C, static_cast<int32_t>(token));
    });
  }
  ops.pack_matrix(embedding, table.data(), V, C, options.weight_type, pool);
  pack_transposed(embedding_transposed, table.data(), V, C);
  embedding_packed = true;
}

void LearnedModel::product(float* y, const float* x, int64_t T, const Matrix& w) {
  const std::vector<Panel> panels = panels_of({{0, T}}, ops.panel_rows);
  const auto count = static_cast<int64_t>(panels.size());
  ops.pack_rows(packed_rows, ops.row_type(options.weight_type), x, w.K, panels, 0, count, {},
                scratch, pool);
  ops.linear(y, {&panels, 0, count, &packed_rows, &w, nullptr, w.N, nullptr, nullptr}, false,
             scratch, pool);
}

void LearnedModel::embed(const Plan& plan) {
  const int64_t C = config.hidden_size;
  const Constants& constants = base.weights.constants;
  hidden.reserve(plan.rows.count() * C, pool.memory());
  ops.embed(hidden.data(), constants.table, constants.table_type, plan.tokens.data(),
            plan.rows.count(), C, pool);
}

}  // namespace dmoerm::train
