// See amx.h. Written after the operation sections of Intel's manual (volume 2: LDTILECFG, TILELOADD, TDPBF16PS,
// TDPBUSD).

#include "emulated/amx.h"

#include <cmath>
#include <cstring>
#include <mutex>
#include <utility>

namespace dmoerm::emulated {
namespace {

constexpr int kTiles = 8;
constexpr int kMaxRows = 16;
constexpr int kMaxRowBytes = 64;

std::mutex& mutex() {
  static std::mutex one;
  return one;
}

std::string& faults() {
  static std::string all;
  return all;
}

void fault(const std::string& what) {
  const std::lock_guard lock(mutex());
  if (faults().find(what) == std::string::npos) faults() += (faults().empty() ? "" : "; ") + what;
}

struct Tile {
  int rows = 0;
  int row_bytes = 0;
  alignas(64) uint8_t data[kMaxRows][kMaxRowBytes] = {};

  bool configured() const { return rows > 0; }
};

/// The tiles of a thread.
struct State {
  bool configured = false;
  Tile tiles[kTiles];

  ~State() {
    if (configured) fault("a thread ended with its tiles configured");
  }
};

thread_local State state;

/// The tile if it may be used, else null.
Tile* usable(const char* instruction, int tile) {
  if (!state.configured)
    fault(std::string(instruction) + " while no tiles are configured");
  else if (tile < 0 || tile >= kTiles || !state.tiles[tile].configured())
    fault(std::string(instruction) + " of tile " + std::to_string(tile) + ", which has no shape");
  else
    return &state.tiles[tile];
  return nullptr;
}

/// The operands of C += A B, where A holds steps of 4 bytes side by side and B one below the other.
struct Operands {
  Operands(const char* instruction, int c_tile, int a_tile, int b_tile)
      : c(usable(instruction, c_tile)),
        a(usable(instruction, a_tile)),
        b(usable(instruction, b_tile)) {
    if (c == nullptr || a == nullptr || b == nullptr) return;
    const bool distinct = c_tile != a_tile && c_tile != b_tile && a_tile != b_tile;
    fit = distinct && c->rows == a->rows && c->row_bytes == b->row_bytes &&
          a->row_bytes == 4 * b->rows && c->row_bytes % 4 == 0;
    if (!fit) fault(std::string(instruction) + " of tiles whose shapes do not fit");
  }

  Tile* c;
  Tile* a;
  Tile* b;
  bool fit = false;
};

template <class T>
T read(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// A number below the normal ones becomes 0 of its sign.
float flushed(float x) {
  auto bits = read<uint32_t>(reinterpret_cast<const uint8_t*>(&x));
  if ((bits & 0x7f800000u) == 0) bits &= 0x80000000u;
  return read<float>(reinterpret_cast<const uint8_t*>(&bits));
}

/// Half `half` of a pair of bfloat16.
float half_of(uint32_t pair, int half) {
  const uint32_t bits = half == 0 ? pair << 16 : pair & 0xffff0000u;
  return flushed(read<float>(reinterpret_cast<const uint8_t*>(&bits)));
}

/// The sums of a row of C start from 0 and are added to it at the end.
void pairs_row(uint8_t* c, const uint8_t* a, const Tile& b) {
  const int columns = b.row_bytes / 4;
  float sums[2][kMaxRows] = {};
  for (int k = 0; k < b.rows; ++k) {
    const auto x = read<uint32_t>(a + 4 * k);
    for (int half = 0; half < 2; ++half) {
      const float factor = half_of(x, half);
      for (int n = 0; n < columns; ++n)
        sums[half][n] = flushed(
            std::fma(factor, half_of(read<uint32_t>(b.data[k] + 4 * n), half), sums[half][n]));
    }
  }
  for (int n = 0; n < columns; ++n) {
    const float sum = flushed(sums[0][n] + sums[1][n]);
    const float total = flushed(flushed(read<float>(c + 4 * n)) + sum);
    std::memcpy(c + 4 * n, &total, 4);
  }
}

void quads_row(uint8_t* c, const uint8_t* a, const Tile& b) {
  for (int k = 0; k < b.rows; ++k)
    for (int n = 0; n < b.row_bytes / 4; ++n) {
      uint32_t sum = read<uint32_t>(c + 4 * n);  // wraps round, as the instruction does
      for (int i = 0; i < 4; ++i)
        sum += static_cast<uint32_t>(a[4 * k + i] * static_cast<int8_t>(b.data[k][4 * n + i]));
      std::memcpy(c + 4 * n, &sum, 4);
    }
}

}  // namespace

std::string take_faults() {
  if (state.configured) fault("the tiles were left configured");
  state = State{};
  const std::lock_guard lock(mutex());
  return std::exchange(faults(), {});
}

void configure(const void* config) {
  const auto* bytes = static_cast<const uint8_t*>(config);
  State next;
  bool valid = bytes[0] == 1;  // the palette; 0 means release, which has its own instruction
  for (int i = 1; i < 16; ++i) valid = valid && bytes[i] == 0;
  for (int t = 0; t < 16; ++t) {
    const int row_bytes = read<uint16_t>(bytes + 16 + 2 * t);
    const int rows = bytes[48 + t];
    valid = valid && row_bytes <= kMaxRowBytes && rows <= kMaxRows &&
            (row_bytes == 0) == (rows == 0) && (t < kTiles || rows == 0);
    if (t >= kTiles || !valid) continue;
    next.tiles[t].rows = rows;
    next.tiles[t].row_bytes = row_bytes;
  }
  if (!valid) return fault("a configuration that the machine refuses");
  if (state.configured) fault("tiles configured twice without a release");
  state = next;
  state.configured = true;
}

void release() { state = State{}; }

void zero(int tile) {
  if (Tile* t = usable("tilezero", tile)) std::memset(t->data, 0, sizeof t->data);
}

void load(int tile, const void* p, int64_t stride) {
  Tile* t = usable("tileloadd", tile);
  if (t == nullptr) return;
  std::memset(t->data, 0, sizeof t->data);
  for (int r = 0; r < t->rows; ++r)
    std::memcpy(t->data[r], static_cast<const uint8_t*>(p) + r * stride,
                static_cast<size_t>(t->row_bytes));
}

void store(int tile, void* p, int64_t stride) {
  const Tile* t = usable("tilestored", tile);
  if (t == nullptr) return;
  for (int r = 0; r < t->rows; ++r)
    std::memcpy(static_cast<uint8_t*>(p) + r * stride, t->data[r],
                static_cast<size_t>(t->row_bytes));
}

void dot_pairs(int c, int a, int b) {
  const Operands tiles("tdpbf16ps", c, a, b);
  if (!tiles.fit) return;
  for (int r = 0; r < tiles.c->rows; ++r) pairs_row(tiles.c->data[r], tiles.a->data[r], *tiles.b);
}

void dot_quads(int c, int a, int b) {
  const Operands tiles("tdpbusd", c, a, b);
  if (!tiles.fit) return;
  for (int r = 0; r < tiles.c->rows; ++r) quads_row(tiles.c->data[r], tiles.a->data[r], *tiles.b);
}

}  // namespace dmoerm::emulated
