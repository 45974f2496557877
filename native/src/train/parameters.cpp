#include "parameters.h"

#include <algorithm>
#include <cmath>

#include "dmoerm/error.h"

namespace dmoerm::train {

Buffer<float>& Parameter::field(ParameterField which) {
  switch (which) {
    case ParameterField::kGradient:
      return gradient;
    case ParameterField::kFirstMoment:
      return first_moment;
    case ParameterField::kSecondMoment:
      return second_moment;
    case ParameterField::kValue:
      break;
  }
  return value;
}

Parameter& Parameters::add(const std::string& name, const std::vector<int64_t>& shape, int64_t unit,
                           ParameterKind kind) {
  Parameter parameter;
  parameter.name = name;
  parameter.shape = shape;
  parameter.unit = unit;
  parameter.kind = kind;
  parameter.count = 1;
  for (const int64_t size : shape) parameter.count *= size;
  for (Buffer<float>* buffer :
       {&parameter.value, &parameter.gradient, &parameter.first_moment, &parameter.second_moment}) {
    buffer->reserve(parameter.count, pool_.memory());
    ops_.clear(buffer->data(), parameter.count, pool_);
  }
  by_name_.emplace(name, all_.size());
  all_.push_back(std::move(parameter));
  return all_.back();
}

Parameter& Parameters::find(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end())
    throw Error(Code::kNotFound, "UNKNOWN_PARAMETER", name, "the trainer has no parameter " + name);
  return all_[found->second];
}

double gradient_norm(const Parameters& parameters, int64_t unit, const GradientOps& ops,
                     ThreadPool& pool) {
  double squares = 0;
  for (const Parameter& parameter : parameters.all()) {
    if (parameter.unit != unit) continue;
    for (const double sum : ops.squares(parameter.gradient.data(), parameter.count, pool))
      squares += sum;
  }
  return std::sqrt(squares);
}

double update(Parameters& parameters, int64_t unit, const AdamStep& step, float head_rate,
              double clip, const GradientOps& ops, ThreadPool& pool) {
  const double norm = gradient_norm(parameters, unit, ops, pool);
  const double scale = clip > 0 && norm > clip ? clip / norm : 1.0;
  for (Parameter& p : parameters.all()) {
    if (p.unit != unit) continue;
    if (std::isfinite(norm)) {
      AdamStep own = step;
      if (p.kind != ParameterKind::kMatrix) own.decay = 0;
      if (p.kind == ParameterKind::kHead) own.learning_rate = head_rate;
      ops.adam(p.value.data(), p.first_moment.data(), p.second_moment.data(), p.gradient.data(),
               static_cast<float>(scale), p.count, own, pool);
    }
    ops.clear(p.gradient.data(), p.count, pool);
  }
  return norm;
}

}  // namespace dmoerm::train
