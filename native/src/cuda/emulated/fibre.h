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

  std::byte* stack_ = nullptr;
  void* inside_ = nullptr;   ///< stack pointer of the body while it is suspended
  void* outside_ = nullptr;  ///< stack pointer of the caller
  const std::function<void()>* body_ = nullptr;
};

}  // namespace dmoerm::cuda::emulated
