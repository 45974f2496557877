#pragma once

#include <napi.h>

#include <vector>

#include "dmoerm/trainer.h"

namespace dmoerm::addon {

// Readers and writers of the DTOs declared in packages/engine/src/native-trainer.ts, as convert.h.

TrainerOptions to_trainer_options(const Napi::Object& dto);
std::vector<TrainBatch> to_train_batches(const Napi::Object& dto);
AdamStep to_adam_step(const Napi::Object& dto);
ParameterField to_parameter_field(const Napi::Object& dto);
Napi::Value from_parameters(Napi::Env env, const std::vector<ParameterInfo>& parameters);
Napi::Value from_losses(Napi::Env env, const std::vector<BatchLoss>& losses);

}  // namespace dmoerm::addon
