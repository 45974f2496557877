#pragma once

#include <cstddef>
#include <functional>

namespace dmoerm::cuda::emulated {

/// A function on a stack of its own, that runs in turns with its caller.
class Fibre {
 public:
  Fibre();
  ~Fibre();
  Fibre(const Fibre&) = delete;
  Fibre& operator=(const Fibre&) = delete;

  /// Begins `body` at the next `resume`, whatever ran before is forgotten. It must not throw.
  void start(const std::function<void()>& body);
  /// Runs until `suspend` or the end of the body.
  void resume();
  /// Back to the caller of `resume`; from inside the body.
  void suspend();

 private:
  static void enter(Fibre* self);
  void prepare();
  void go_inside();
  void go_outside();

  std::byte* stack_ = nullptr;
  void* inside_ = nullptr;   ///< where the body goes on
  void* outside_ = nullptr;  ///< where the caller goes on
  const std::function<void()>* body_ = nullptr;
  const void* callers_stack_ = nullptr;  ///< for AddressSanitizer
  size_t callers_size_ = 0;
};

}  // namespace dmoerm::cuda::emulated
