// The AMX unit with its tile instructions emulated; compiled with the unit's own flags.

#include "emulated/amx.h"

#define DMOERM_TILES_EMULATED
#define amx_ops amx_emulated_ops
namespace dmoerm {
namespace {
using emulated::Tiles;
}
}  // namespace dmoerm
#include "../../src/cpu/amx.cpp"
