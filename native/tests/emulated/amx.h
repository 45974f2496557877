#pragma once

// The tile instructions that the AMX unit uses, in plain C++. traps.h runs them in place of those that the processor
// refuses. No emulator to be had from a package registry does that for a Linux program: qemu-user (7.2 in Debian 12)
// and valgrind stop at AVX2, unicorn is built on an older qemu, Bochs emulates whole machines (2.7 in Debian without
// AMX; so does the build of its processor on PyPI).
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

}  // namespace dmoerm::emulated
