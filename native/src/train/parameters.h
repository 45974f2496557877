#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "dmoerm/buffer.h"
#include "dmoerm/gradient_ops.h"
#include "dmoerm/thread_pool.h"
#include "dmoerm/trainer.h"

namespace dmoerm::train {

/// How a parameter is stepped: matrices decay, heads have a learning rate of their own.
enum class ParameterKind { kMatrix, kVector, kHead };

/// A tensor that is learned: float32 values, their gradient and AdamW's moments.
struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  int64_t unit = 0;  ///< what it is updated with: an expert, or kBaseUnit
  ParameterKind kind = ParameterKind::kVector;
  int64_t count = 0;
  Buffer<float> value, gradient, first_moment, second_moment;

  Buffer<float>& field(ParameterField which);

  int64_t bytes() const { return count * static_cast<int64_t>(sizeof(float)); }
};

/// All parameters of a trainer, by name, in the memory of the ops that step them.
class Parameters {
 public:
  Parameters(const GradientOps& ops, ThreadPool& pool) : ops_(ops), pool_(pool) {}

  /// All values 0. The reference stays valid until the next `add`.
  Parameter& add(const std::string& name, const std::vector<int64_t>& shape, int64_t unit,
                 ParameterKind kind);

  /// Throws NOT_FOUND.
  Parameter& find(const std::string& name);

  const std::vector<Parameter>& all() const { return all_; }
  std::vector<Parameter>& all() { return all_; }

 private:
  const GradientOps& ops_;
  ThreadPool& pool_;
  std::vector<Parameter> all_;
  std::unordered_map<std::string, size_t> by_name_;
};

/// Euclidean length of a unit's gradient: sums in double, tensor by tensor, elements in blocks of fixed size.
double gradient_norm(const Parameters& parameters, int64_t unit, const GradientOps& ops,
                     ThreadPool& pool);

/// One step of AdamW on a unit's parameters, heads at `head_rate`; gradients are scaled to length `clip` if they are longer (0: never), and
/// are 0 afterwards. Returns their length before. A length that is not finite changes no parameter.
double update(Parameters& parameters, int64_t unit, const AdamStep& step, float head_rate,
              double clip, const GradientOps& ops, ThreadPool& pool);

}  // namespace dmoerm::train
