#include "fibre.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <new>

namespace dmoerm::cuda::emulated {
namespace {

constexpr size_t kStack = 256 << 10;
constexpr size_t kGuard = 4096;  // below the stack: overflow is a fault, not a neighbour's data

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

void Fibre::start(const std::function<void()>& body) {
  body_ = &body;
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

void Fibre::resume() { dmoerm_switch_stack(&outside_, inside_); }
void Fibre::suspend() { dmoerm_switch_stack(&inside_, outside_); }

Fibre::~Fibre() { munmap(stack_, kGuard + kStack); }

#else

namespace {

struct Contexts {
  ucontext_t inside, outside;
};

Contexts& contexts(void* of) { return *static_cast<Contexts*>(of); }

}  // namespace

void Fibre::start(const std::function<void()>& body) {
  body_ = &body;
  if (inside_ == nullptr) inside_ = new Contexts;
  ucontext_t& context = contexts(inside_).inside;
  getcontext(&context);
  context.uc_stack.ss_sp = stack_ + kGuard;
  context.uc_stack.ss_size = kStack;
  outside_ = this;
  const auto self = reinterpret_cast<uintptr_t>(this);
  makecontext(&context, reinterpret_cast<void (*)()>(+[](unsigned low, unsigned high) {
    enter(reinterpret_cast<Fibre*>(static_cast<uintptr_t>(high) << 32 | low));
  }),
              2, static_cast<unsigned>(self), static_cast<unsigned>(self >> 32));
}

void Fibre::resume() { swapcontext(&contexts(inside_).outside, &contexts(inside_).inside); }
void Fibre::suspend() { swapcontext(&contexts(inside_).inside, &contexts(inside_).outside); }

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

void Fibre::enter(Fibre* self) {
  (*self->body_)();
  self->suspend();  // for good
}

}  // namespace dmoerm::cuda::emulated
