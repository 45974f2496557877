#include "dmoerm/trainer.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include "check.h"
#include "layout.h"
#include "learned_model.h"
#include "pass.h"

namespace dmoerm {

using namespace train;

struct Trainer::State : LearnedModel {
  using LearnedModel::LearnedModel;
  std::mutex mutex;
};

Trainer::Trainer(const ModelSource& source, const TrainerOptions& options)
    : state_(std::make_unique<State>(source, options)) {}

Trainer::~Trainer() = default;

std::vector<ParameterInfo> Trainer::parameters() const {
  std::vector<ParameterInfo> infos;
  for (const Parameter& parameter : state_->parameters.all())
    infos.push_back({parameter.name, parameter.shape});
  return infos;
}

std::vector<float> Trainer::read(const std::string& name, ParameterField field) const {
  const std::lock_guard lock(state_->mutex);
  Parameter& parameter = state_->parameters.find(name);
  std::vector<float> values(parameter.count);
  state_->pool.memory().read(values.data(), parameter.field(field).data(), parameter.bytes());
  return values;
}

void Trainer::write(const std::string& name, ParameterField field,
                    const std::vector<float>& values) {
  const std::lock_guard lock(state_->mutex);
  Parameter& parameter = state_->parameters.find(name);
  if (static_cast<int64_t>(values.size()) != parameter.count)
    refuse("WRONG_SHAPE", name,
           "the parameter has " + std::to_string(parameter.count) + " elements, " +
               std::to_string(values.size()) + " were given");
  for (const float value : values)
    if (!std::isfinite(value)) refuse("NON_FINITE", name, "parameters must be finite");
  state_->pool.memory().write(parameter.field(field).data(), values.data(), parameter.bytes());
  if (field == ParameterField::kValue) state_->changed.insert(parameter.unit);
}

std::vector<BatchLoss> Trainer::pass(const std::vector<TrainBatch>& batches, bool learn,
                                     uint64_t seed, const std::atomic<bool>& cancelled) {
  const std::lock_guard lock(state_->mutex);
  check_batches(batches, state_->options, state_->config);
  state_->pack();
  return run_pass(*state_, batches, learn, seed, cancelled);
}

double Trainer::update(int64_t unit, const AdamStep& step, float head_rate, double clip) {
  const std::lock_guard lock(state_->mutex);
  const auto experts = static_cast<int64_t>(state_->options.experts.size());
  if (unit < (state_->options.train_base ? kBaseUnit : 0) || unit >= experts)
    refuse("UNKNOWN_UNIT", "unit", "the trainer learns no such expert or base");
  if (!(step.learning_rate >= 0) || !(head_rate >= 0) || step.step < 1)
    refuse("BAD_STEP", "step", "steps count from 1 and learning rates are not negative");
  state_->changed.insert(unit);
  return train::update(state_->parameters, unit, step, head_rate, clip, state_->gradients,
                       state_->pool);
}

std::vector<float> Trainer::trunk(const Batch& batch, const std::atomic<bool>& cancelled) {
  const std::lock_guard lock(state_->mutex);
  State& s = *state_;
  const std::vector<TrainBatch> batches{{batch, {}, {}, {}}};
  check_batches(batches, s.options, s.config);
  s.pack();
  const Laid laid = lay_out(batches, 0, s.options, s.adapters);
  s.embed(laid.layout.plan);
  s.network->forward(laid.layout, s.hidden, 0, first_layer(s.options, s.config), false, cancelled);
  std::vector<float> rows(laid.layout.plan.rows.count() * s.config.hidden_size);
  s.pool.memory().read(rows.data(), s.hidden.data(),
                       static_cast<int64_t>(rows.size() * sizeof(float)));
  return rows;
}

const char* Trainer::isa() const { return state_->ops.name; }

}  // namespace dmoerm
