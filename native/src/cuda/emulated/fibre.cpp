#include "fibre.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define DMOERM_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DMOERM_ADDRESS_SANITIZER
#endif
#endif
#ifdef DMOERM_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace dmoerm::cuda::emulated {
namespace {

constexpr size_t kStack = 256 << 10;
constexpr size_t kGuard = 4096;  // below the stack: overflow is a fault, not a neighbour's data

// AddressSanitizer has to be told when the stack changes, and that a stack begins anew.
#ifdef DMOERM_ADDRESS_SANITIZER
void leave(void** fake, const void* bottom, size_t size) {
  __sanitizer_start_switch_fiber(fake, bottom, size);
}
void arrive(void* fake, const void** bottom, size_t* size) {
  __sanitizer_finish_switch_fiber(fake, bottom, size);
}
void forget(std::byte* stack) { __asan_unpoison_memory_region(stack, kStack); }
#else
void leave(void**, const void*, size_t) {}
void arrive(void*, const void**, size_t*) {}
void forget(std::byte*) {}
#endif

}  // namespace

#if defined(__x86_64__)

// Saves the callee-saved registers and the control words, and changes the stack: what `swapcontext` does without its
// system calls, which would be most of the emulation's time.
extern "C" void dmoerm_switch_stack(void** save, void* to);
asm(R"(
.text
.globl dmoerm_switch_stack
.hidden dmoerm_switch_stack
.type dmoerm_switch_stack, @function
dmoerm_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size dmoerm_switch_stack, .-dmoerm_switch_stack
.hidden dmoerm_enter_fibre
.type dmoerm_enter_fibre, @function
dmoerm_enter_fibre:
  movq %r12, %rdi
  callq *%r13
  ud2
.size dmoerm_enter_fibre, .-dmoerm_enter_fibre
)");
extern "C" void dmoerm_enter_fibre();

void Fibre::prepare() {
  auto** top = reinterpret_cast<void**>(stack_ + kGuard + kStack);
  // As if it had been suspended at its entry: six registers, the address to return to, and alignment.
  *--top = nullptr;
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&dmoerm_enter_fibre);
  *--top = nullptr;                                 // rbp
  *--top = nullptr;                                 // rbx
  *--top = this;                                    // r12
  *--top = reinterpret_cast<void*>(&Fibre::enter);  // r13
  *--top = nullptr;                                 // r14
  *--top = nullptr;                                 // r15
  inside_ = top;
}

void Fibre::go_inside() { dmoerm_switch_stack(&outside_, inside_); }
void Fibre::go_outside() { dmoerm_switch_stack(&inside_, outside_); }

Fibre::~Fibre() { munmap(stack_, kGuard + kStack); }

#else

namespace {

struct Contexts {
  ucontext_t inside, outside;
};

Contexts& contexts(void* of) { return *static_cast<Contexts*>(of); }

}  // namespace

void Fibre::prepare() {
  if (inside_ == nullptr) inside_ = new Contexts;
  ucontext_t& context = contexts(inside_).inside;
  getcontext(&context);
  context.uc_stack.ss_sp = stack_ + kGuard;
  context.uc_stack.ss_size = kStack;
  const auto self = reinterpret_cast<uintptr_t>(this);
  makecontext(&context, reinterpret_cast<void (*)()>(+[](unsigned low, unsigned high) {
    enter(reinterpret_cast<Fibre*>(static_cast<uintptr_t>(high) << 32 | low));
  }),
              2, static_cast<unsigned>(self), static_cast<unsigned>(self >> 32));
}

void Fibre::go_inside() { swapcontext(&contexts(inside_).outside, &contexts(inside_).inside); }
void Fibre::go_outside() { swapcontext(&contexts(inside_).inside, &contexts(inside_).outside); }

Fibre::~Fibre() {
  delete static_cast<Contexts*>(inside_);
  munmap(stack_, kGuard + kStack);
}

#endif

Fibre::Fibre() {
  void* memory = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<std::byte*>(memory);
  mprotect(stack_, kGuard, PROT_NONE);
}

void Fibre::start(const std::function<void()>& body) {
  body_ = &body;
  forget(stack_ + kGuard);
  prepare();
}

void Fibre::resume() {
  void* fake = nullptr;
  leave(&fake, stack_ + kGuard, kStack);
  go_inside();
  arrive(fake, nullptr, nullptr);
}

void Fibre::suspend() {
  void* fake = nullptr;
  leave(&fake, callers_stack_, callers_size_);
  go_outside();
  arrive(fake, &callers_stack_, &callers_size_);
}

void Fibre::enter(Fibre* self) {
  arrive(nullptr, &self->callers_stack_, &self->callers_size_);
  (*self->body_)();
  self->suspend();  // for good
}

}  // namespace dmoerm::cuda::emulated
