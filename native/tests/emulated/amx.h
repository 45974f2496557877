#pragma once

// The instructions of src/cpu/amx_instructions.inc in plain C++, so that the unit's own code runs on machines without
// AMX. No emulator that runs a Linux program has them: qemu-user (7.2 in Debian 12) stops at AVX2, valgrind too,
// unicorn is built on an older qemu, Bochs emulates whole machines.
//
// What a machine would answer with an exception is a fault: it is noted, the instruction does nothing else, and
// `take_faults` tells the test. That is a use of tiles that are not configured, a configuration that the machine
// would refuse, operands whose shapes do not fit, and a thread that leaves its tiles configured.

#include <cstdint>
#include <string>

namespace dmoerm::emulated {

/// What went wrong since the last call, on all threads, the first few of each kind; empty: nothing. Call it where only
/// the calling thread is left: its tiles must be released too.
std::string take_faults();

void configure(const void* config);
void release();
void zero(int tile);
void load(int tile, const void* p, int64_t stride);
void store(int tile, void* p, int64_t stride);
void dot_pairs(int c, int a, int b);
void dot_quads(int c, int a, int b);

/// The same names as the instructions have in the unit.
struct Tiles {
  static void configure(const void* config) { emulated::configure(config); }
  static void release() { emulated::release(); }
  template <int T>
  static void zero() {
    emulated::zero(T);
  }
  template <int T>
  static void load(const void* p, int64_t stride) {
    emulated::load(T, p, stride);
  }
  template <int T>
  static void store(void* p, int64_t stride) {
    emulated::store(T, p, stride);
  }
  template <int C, int A, int B>
  static void dot_pairs() {
    emulated::dot_pairs(C, A, B);
  }
  template <int C, int A, int B>
  static void dot_quads() {
    emulated::dot_quads(C, A, B);
  }
};

}  // namespace dmoerm::emulated
