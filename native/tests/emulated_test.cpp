// The emulated instructions against naive loops, that misuse of tiles does not pass unseen, and that what traps is read
// as it was written.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "check.h"
#include "dmoerm/ops.h"
#include "emulated/amx.h"
#include "emulated/traps.h"

namespace {

using namespace dmoerm;
using test::require;

/// ldtilecfg's operand: tile t has rows[t] rows of row_bytes[t] bytes.
std::array<uint8_t, 64> config(const std::vector<int>& rows, const std::vector<int>& row_bytes) {
  std::array<uint8_t, 64> bytes{};
  bytes[0] = 1;
  for (size_t t = 0; t < rows.size(); ++t) {
    bytes[16 + 2 * t] = static_cast<uint8_t>(row_bytes[t]);
    bytes[48 + t] = static_cast<uint8_t>(rows[t]);
  }
  return bytes;
}

/// `body` must leave a fault that says `what`, or none if that is empty.
void require_fault(const std::string& what, void (*body)()) {
  emulated::take_faults();
  body();
  const std::string faults = emulated::take_faults();
  require(what.empty() ? faults.empty() : faults.find(what) != std::string::npos,
          "wanted '" + what + "', got '" + faults + "'");
}

uint8_t memory[16 * 64] = {};

void test_faults() {
  const auto refused = [](const char* name, const char* what, void (*body)()) {
    test::test(std::string("emulated tiles: ") + name, [&] { require_fault(what, body); });
  };
  refused("a use as it should be", "", [] {
    emulated::configure(config({4, 4, 2}, {8, 8, 8}).data());
    emulated::load(1, memory, 64);
    emulated::load(2, memory, 64);
    emulated::zero(0);
    emulated::dot_quads(0, 1, 2);
    emulated::store(0, memory, 64);
    emulated::release();
  });
  refused("not configured", "no tiles are configured", [] { emulated::load(0, memory, 64); });
  refused("released", "no tiles are configured", [] {
    emulated::configure(config({4}, {8}).data());
    emulated::release();
    emulated::store(0, memory, 64);
  });
  refused("configured on another thread only", "no tiles are configured", [] {
    emulated::configure(config({4}, {8}).data());
    std::thread([] { emulated::zero(0); }).join();
    emulated::release();
  });
  refused("a tile without a shape", "tile 3, which has no shape", [] {
    emulated::configure(config({4}, {8}).data());
    emulated::load(3, memory, 64);
    emulated::release();
  });
  refused("a wrong inner size", "shapes do not fit", [] {
    emulated::configure(config({4, 4, 3}, {8, 8, 8}).data());
    emulated::dot_pairs(0, 1, 2);
    emulated::release();
  });
  refused("wrong rows", "shapes do not fit", [] {
    emulated::configure(config({4, 5, 2}, {8, 8, 8}).data());
    emulated::dot_quads(0, 1, 2);
    emulated::release();
  });
  refused("wrong columns", "shapes do not fit", [] {
    emulated::configure(config({4, 4, 2}, {8, 8, 12}).data());
    emulated::dot_pairs(0, 1, 2);
    emulated::release();
  });
  refused("a tile twice", "shapes do not fit", [] {
    emulated::configure(config({4, 4, 4}, {16, 16, 16}).data());
    emulated::dot_pairs(0, 1, 1);
    emulated::release();
  });
  refused("too many rows", "machine refuses",
          [] { emulated::configure(config({17}, {64}).data()); });
  refused("rows too long", "machine refuses",
          [] { emulated::configure(config({16}, {68}).data()); });
  refused("rows of nothing", "machine refuses",
          [] { emulated::configure(config({16}, {0}).data()); });
  refused("reserved bytes", "machine refuses", [] {
    auto bytes = config({16}, {64});
    bytes[9] = 1;
    emulated::configure(bytes.data());
  });
  refused("left configured", "left configured",
          [] { emulated::configure(config({4}, {8}).data()); });
  refused("configured twice", "without a release", [] {
    emulated::configure(config({4}, {8}).data());
    emulated::configure(config({4}, {8}).data());
    emulated::release();
  });
  refused("a thread that leaves tiles configured", "a thread ended",
          [] { std::thread([] { emulated::configure(config({4}, {8}).data()); }).join(); });
}

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// C (3,5) += A (3, 4 steps) B (4 steps, 5), rows 40 bytes apart in memory.
constexpr int kRows = 3, kColumns = 5, kSteps = 4, kStride = 40;

template <class Element>
std::vector<Element> multiply(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b,
                              std::vector<uint8_t> c, void (*dot)(int, int, int)) {
  emulated::configure(
      config({kRows, kRows, kSteps}, {kColumns * 4, kSteps * 4, kColumns * 4}).data());
  emulated::load(0, c.data(), kStride);
  emulated::load(1, a.data(), kStride);
  emulated::load(2, b.data(), kStride);
  dot(0, 1, 2);
  emulated::store(0, c.data(), kStride);
  emulated::release();
  std::vector<Element> out(kRows * kColumns);
  for (int r = 0; r < kRows; ++r)
    std::memcpy(&out[r * kColumns], &c[r * kStride], kColumns * sizeof(Element));
  return out;
}

void test_pairs() {
  // Numbers with few bits: every order of the sum gives the same.
  std::vector<uint8_t> a(kRows * kStride), b(kSteps * kStride), c(kRows * kStride);
  const auto put = [](std::vector<uint8_t>& to, int row, int pair, int half, float value) {
    std::memcpy(&to[row * kStride + pair * 4 + half * 2],
                reinterpret_cast<const uint8_t*>(&value) + 2, 2);
  };
  const auto x = [](int m, int k) { return static_cast<float>((m * 7 + k * 5) % 11 - 5) / 4; };
  const auto w = [](int n, int k) { return static_cast<float>((n * 3 + k * 8) % 13 - 6) / 2; };
  for (int k = 0; k < 2 * kSteps; ++k) {
    for (int m = 0; m < kRows; ++m) put(a, m, k / 2, k % 2, x(m, k));
    for (int n = 0; n < kColumns; ++n) put(b, k / 2, n, k % 2, w(n, k));
  }
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n) {
      const float start = static_cast<float>(m - n);
      std::memcpy(&c[m * kStride + n * 4], &start, 4);
    }
  const auto got = multiply<float>(a, b, c, emulated::dot_pairs);
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n) {
      float want = static_cast<float>(m - n);
      for (int k = 0; k < 2 * kSteps; ++k) want += x(m, k) * w(n, k);
      require(got[m * kColumns + n] == want, "sum " + std::to_string(m * kColumns + n));
    }
}

void test_small_numbers() {
  std::vector<uint8_t> a(kRows * kStride), b(kSteps * kStride), c(kRows * kStride);
  const auto pair = [](std::vector<uint8_t>& to, int row, int at, uint32_t bits) {
    std::memcpy(&to[row * kStride + at * 4], &bits, 4);
  };
  const uint32_t one = 0x3f80, below_normal = 0x0001, smallest = 0x0080, half = 0x3f00;
  pair(a, 0, 0, below_normal);  // row 0: a factor below the normal numbers
  pair(a, 1, 0, smallest);      // row 1: a product below them, in column 1
  pair(a, 2, 0, one);           // row 2: a sum so far below them
  pair(b, 0, 0, one);
  pair(b, 0, 1, half);
  pair(c, 2, 2, 0x00000001);
  const auto got = multiply<float>(a, b, c, emulated::dot_pairs);
  require(got[0] == 0 && got[1] == 0, "a factor was not taken as 0");
  require(got[kColumns] == from_bits(0x00800000), "the smallest normal number was lost");
  require(got[kColumns + 1] == 0, "a product was not taken as 0");
  require(got[2 * kColumns] == 1 && got[2 * kColumns + 2] == 0, "a sum was not taken as 0");
}

void test_quads() {
  std::vector<uint8_t> a(kRows * kStride), b(kSteps * kStride), c(kRows * kStride);
  for (int m = 0; m < kRows; ++m)
    for (int k = 0; k < 4 * kSteps; ++k) a[m * kStride + k] = static_cast<uint8_t>(m * 90 + k * 37);
  for (int s = 0; s < kSteps; ++s)
    for (int i = 0; i < 4 * kColumns; ++i)
      b[s * kStride + i] = static_cast<uint8_t>(s * 71 + i * 29);
  c[0] = 100;
  const auto got = multiply<int32_t>(a, b, c, emulated::dot_quads);
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n) {
      int32_t want = m == 0 && n == 0 ? 100 : 0;
      for (int k = 0; k < 4 * kSteps; ++k)
        want += a[m * kStride + k] * static_cast<int8_t>(b[k / 4 * kStride + n * 4 + k % 4]);
      require(got[m * kColumns + n] == want, "sum " + std::to_string(m * kColumns + n));
    }
}

/// The same sums as test_quads from instructions, with operands of every form: base registers that need a longer
/// encoding, displacements of one and four bytes, a scaled index, tiles with and without a low number. Where the
/// processor has AMX it runs them itself.
void test_trapped_tiles() {
  std::array<std::array<uint8_t, 64>, 5>
      places{};  // the configuration, A, B, then twice C, 64 bytes each
  places[0] = config({0, 1, 0, 0, 1, 0, 0, 1}, {0, 4, 0, 0, 8, 0, 0, 8});
  const uint8_t a[4] = {0x80, 0x3f, 0x00, 0xc0};  // as bfloat16: 1, -2
  // 3, 0.25; 10, 0.5
  const int8_t b[8] = {0x40, 0x40, -0x80, 0x3e, 0x20, 0x41, 0x00, 0x3f};
  const int32_t start[2] = {1000, -1000};
  std::memcpy(places[1].data(), a, 4);
  std::memcpy(places[2].data(), b, 8);
  std::memcpy(places[3].data(), start, 8);
  // Rows lie 16 * 8 bytes apart, but all tiles have one.
  asm volatile(
      "movq %0, %%r12\n\tmovq %0, %%r13\n\tmovq %0, %%rdx\n\tmovq $16, %%r14\n\t"
      "ldtilecfg (%%r12)\n\t"
      "tileloadd 64(%%r13,%%r14,8), %%tmm1\n\t"
      "tileloadd 128(%%r12,%%r14,8), %%tmm4\n\t"
      "tileloadd 192(%%rdx,%%r14,8), %%tmm7\n\t"
      "tdpbusd %%tmm4, %%tmm1, %%tmm7\n\t"
      "tilestored %%tmm7, 256(%%r13,%%r14,8)\n\t"
      "tilezero %%tmm7\n\t"
      "tdpbf16ps %%tmm4, %%tmm1, %%tmm7\n\t"
      "subq $0x12345, %%rdx\n\t"
      "tilestored %%tmm7, 0x12385(%%rdx,%%r14,8)\n\t"
      "tilerelease"
      :
      : "r"(places.data())
      : "rdx", "r12", "r13", "r14", "memory");
  for (int n = 0; n < 2; ++n) {
    int32_t got;
    std::memcpy(&got, &places[4][4 * n], 4);
    int32_t want = start[n];
    for (int k = 0; k < 4; ++k) want += a[k] * b[4 * n + k];
    require(got == want, "8-bit sum " + std::to_string(n) + ": " + std::to_string(got));
    float product;
    std::memcpy(&product, &places[1][4 * n], 4);
    require(product == (n == 0 ? 2.5f : 9.0f), "bfloat16 sum " + std::to_string(n));
  }
  require(emulated::take_faults().empty(), "a fault");
}

/// vpdpbusd between low and high registers, of both lengths.
void test_trapped_quads() {
  std::array<uint8_t, 32> x, w, sums, out[2];
  for (size_t i = 0; i < 32; ++i) {
    x[i] = static_cast<uint8_t>(i * 61 + 5);
    w[i] = static_cast<uint8_t>(i * 83 + 130);
    sums[i] = static_cast<uint8_t>(i * 19);
  }
  asm volatile(
      "vmovdqu (%0), %%ymm3\n\tvmovdqu (%1), %%ymm14\n\tvmovdqu (%2), %%ymm9\n\t"
      "vmovdqa %%ymm9, %%ymm2\n\t"
      "%{vex%} vpdpbusd %%ymm14, %%ymm3, %%ymm9\n\t"
      "%{vex%} vpdpbusd %%xmm14, %%xmm3, %%xmm2\n\t"
      "vmovdqu %%ymm9, (%3)\n\tvmovdqu %%ymm2, (%4)\n\tvzeroupper"
      :
      : "r"(x.data()), "r"(w.data()), "r"(sums.data()), "r"(out[0].data()), "r"(out[1].data())
      : "xmm2", "xmm3", "xmm9", "xmm14", "memory");
  for (int lane = 0; lane < 8; ++lane) {
    int32_t want, got[2];
    std::memcpy(&want, &sums[4 * lane], 4);
    for (int k = 4 * lane; k < 4 * lane + 4; ++k) want += x[k] * static_cast<int8_t>(w[k]);
    for (int i = 0; i < 2; ++i) std::memcpy(&got[i], &out[i][4 * lane], 4);
    require(got[0] == want, "lane " + std::to_string(lane));
    require(got[1] == (lane < 4 ? want : 0), "lane " + std::to_string(lane) + " of the short form");
  }
}

void test_other_traps() {
  const pid_t child = fork();
  if (child == 0) {
    asm volatile("ud2");
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  require(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL, "the process went on");
}

}  // namespace

int main() {
  test_faults();
  test::test("emulated tiles: products of bfloat16 pairs", test_pairs);
  test::test("emulated tiles: numbers below the normal ones are 0", test_small_numbers);
  test::test("emulated tiles: products of 8-bit quads", test_quads);
  emulated::catch_traps();
  const std::vector<std::string> units = instruction_sets();
  const bool avx2 = std::find(units.begin(), units.end(), "avx2") != units.end();
  test::test("traps: tile instructions", test_trapped_tiles);
  if (avx2)
    test::test("traps: 8-bit dot products of vectors", test_trapped_quads);
  else
    std::printf("traps: 8-bit dot products not run, this processor has no AVX2\n");
  test::test("traps: other instructions end the process", test_other_traps);
  return test::finish();
}
