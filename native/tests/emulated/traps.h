#pragma once

namespace dmoerm::emulated {

/// From here on this process runs the instructions of AMX (tiles, bfloat16, 8 bits) and AVX-VNNI (vpdpbusd) that the
/// processor refuses: their SIGILL is answered with amx.h and a few lines of C++. So the units run as they are
/// shipped, encodings included. Other refused instructions end the process as before.
void catch_traps();

}  // namespace dmoerm::emulated
