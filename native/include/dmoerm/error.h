#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace dmoerm {

/// Causes that a caller tells apart; each maps to the gRPC status of the same name.
enum class Code {
  kInvalidArgument,
  kNotFound,
  kDataLoss,
  kCancelled,
  kResourceExhausted,
  kFailedPrecondition,
  kUnimplemented,
  kInternal
};

/// Name of the gRPC status code, e.g. "INVALID_ARGUMENT".
const char* code_name(Code code);

/// The engine's only exception. `reason` is a stable UPPER_SNAKE word for programs, `field` names
/// the tensor, file or argument at fault, the message tells people what is wrong and what would
/// work.
class Error : public std::runtime_error {
 public:
  Error(Code code, std::string reason, std::string field, const std::string& message)
      : std::runtime_error(message),
        code_(code),
        reason_(std::move(reason)),
        field_(std::move(field)) {}

  Code code() const { return code_; }
  const std::string& reason() const { return reason_; }
  const std::string& field() const { return field_; }

 private:
  Code code_;
  std::string reason_;
  std::string field_;
};

}  // namespace dmoerm
