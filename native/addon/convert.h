#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "dmoerm/engine.h"

namespace dmoerm::addon {

// Readers of the DTOs declared in packages/engine/src/native.ts: same field names, same order. A
// missing or mistyped field throws a JS TypeError that names it.

Target to_target(const Napi::Object& dto);
PlanType to_plan(const Napi::Object& dto);
WeightType to_weight_type(const Napi::Object& dto, const std::string& type);
LoraSource to_lora(const Napi::Object& dto);
Batch to_batch(const Napi::Object& dto);
ModelSource to_model_source(const Napi::Object& dto);
EngineOptions to_engine_options(const Napi::Object& dto);
TaskSource to_task_source(const Napi::Object& dto);
std::vector<Batch> to_batches(const Napi::Object& dto);
Generation to_generation(const Napi::Object& dto);

/// What a loaded engine says of itself.
struct LoadedInfo {
  std::string isa;
  int threads;
  WeightType weight_type;
  PackedState packed;
};

Napi::Value from_loaded(Napi::Env env, const LoadedInfo& info);
Napi::Value from_memory(Napi::Env env, const EngineMemory& memory);
Napi::Value from_evaluation(Napi::Env env, Evaluation& evaluation);
Napi::Value from_completions(Napi::Env env, std::vector<Completion>& completions);

}  // namespace dmoerm::addon
