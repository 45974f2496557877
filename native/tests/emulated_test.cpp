// The emulated tile instructions against naive loops, and that misuse of tiles does not pass unseen.

#include <array>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "check.h"
#include "emulated/amx.h"

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

}  // namespace

int main() {
  test_faults();
  test::test("emulated tiles: products of bfloat16 pairs", test_pairs);
  test::test("emulated tiles: numbers below the normal ones are 0", test_small_numbers);
  test::test("emulated tiles: products of 8-bit quads", test_quads);
  return test::finish();
}
