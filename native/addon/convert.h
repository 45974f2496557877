#pragma once

#include <napi.h>

#include "dmoerm/engine.h"

namespace dmoerm::addon {

// Readers of the DTOs declared in packages/engine/src/native.ts: same field names, same order. A
// missing or mistyped field throws a JS TypeError that names it.

ModelSource to_model_source(const Napi::Object& dto);
EngineOptions to_engine_options(const Napi::Object& dto);
TaskSource to_task_source(const Napi::Object& dto);
Batch to_batch(const Napi::Object& dto);

Napi::Value from_evaluation(Napi::Env env, Evaluation& evaluation);

}  // namespace dmoerm::addon
