// Block decoders on hand-made blocks, where the value can be told from the format's definition.
// Whole quantised models are compared with an independent implementation in the golden tests.

#include <cstdint>
#include <cstring>
#include <vector>

#include "check.h"
#include "dmoerm/error.h"
#include "dmoerm/tensor.h"
#include "mapped_file.h"

namespace {

using namespace dmoerm;
using test::require;

// float16: 1.0 = 0x3c00, 0.5 = 0x3800, -2.0 = 0xc000
void put_half(std::vector<uint8_t>& block, size_t at, uint16_t half) {
  std::memcpy(&block[at], &half, 2);
}

std::vector<float> decoded(const std::vector<uint8_t>& block, TensorType type) {
  std::vector<float> out(block_elements(type));
  decode(out.data(), block.data(), type, block_elements(type));
  return out;
}

void require_refused(const TensorSource& tensor) {
  try {
    (void)TensorReader({"/proc/self/exe"}).raw(tensor);
  } catch (const Error& error) {
    require(error.code() == Code::kDataLoss, "refused with another code");
    return;
  }
  require(false, "was not refused");
}

}  // namespace

int main() {
  test::test("F16: normal, subnormal, infinite, negative", [] {
    const uint16_t halves[] = {0x3c00, 0x0001, 0x7c00, 0xc000, 0x8000};
    float out[5];
    decode(out, reinterpret_cast<const uint8_t*>(halves), TensorType::kF16, 5);
    require(
        out[0] == 1.0f && out[1] == std::ldexp(1.0f, -24) && std::isinf(out[2]) && out[3] == -2.0f,
        "wrong value");
    require(out[4] == 0.0f && std::signbit(out[4]), "lost the sign of zero");
  });
  test::test("Q8_0: scale times signed byte", [] {
    std::vector<uint8_t> block(34);
    put_half(block, 0, 0x3800);
    block[2] = 0x80;
    block[33] = 127;
    const auto out = decoded(block, TensorType::kQ8_0);
    require(out[0] == -64.0f && out[31] == 63.5f && out[5] == 0.0f, "wrong value");
  });
  test::test("Q4_0 and Q4_1: low nibbles are the first half", [] {
    std::vector<uint8_t> block(18);
    put_half(block, 0, 0x3c00);
    block[2] = 0x5f;
    auto out = decoded(block, TensorType::kQ4_0);
    require(out[0] == 7.0f && out[16] == -3.0f && out[1] == -8.0f, "wrong Q4_0 value");
    block.assign(20, 0);
    put_half(block, 0, 0x3c00);
    put_half(block, 2, 0xc000);
    block[4] = 0x5f;
    out = decoded(block, TensorType::kQ4_1);
    require(out[0] == 13.0f && out[16] == 3.0f && out[31] == -2.0f, "wrong Q4_1 value");
  });
  test::test("Q4_K: the last sub-block's scale and minimum come from the high bits", [] {
    std::vector<uint8_t> block(144);
    put_half(block, 0, 0x3c00);
    put_half(block, 2, 0x3c00);
    block[4 + 3] = 0x80;   // high bits of sub-block 7's scale: 2
    block[4 + 7] = 0x40;   // high bits of sub-block 7's minimum: 1
    block[4 + 11] = 0x53;  // low bits: scale 3, minimum 5
    block[16 + 96] = 0xa0;
    const auto out = decoded(block, TensorType::kQ4_K);
    require(out[7 * 32] == (2 * 16 + 3) * 10.0f - (16 + 5), "wrong value");
    require(out[0] == 0.0f, "another sub-block was touched");
  });
  test::test("Q6_K: high bit pairs and signed scales", [] {
    std::vector<uint8_t> block(210);
    put_half(block, 208, 0x3c00);
    block[192 + 15] = 0xfe;  // scale of the last 16 values: -2
    block[64 + 63] = 0x70;   // high nibble of the last value: 7
    block[128 + 63] = 0x40;  // its bit pair: 1
    const auto out = decoded(block, TensorType::kQ6_K);
    require(out[255] == -2.0f * ((16 + 7) - 32), "wrong value");
  });
  test::test("a tensor that leaves its file or contradicts itself is refused", [] {
    TensorSource good{"t", TensorType::kF32, {2, 2}, 0, 0, 16, false};
    require(TensorReader({"/proc/self/exe"}).raw(good) != nullptr, "a sound tensor was refused");
    TensorSource bad = good;
    bad.offset = INT64_MAX - 8;
    require_refused(bad);
    bad = good;
    bad.offset = -4;
    require_refused(bad);
    bad = good;
    bad.bytes = 12;
    require_refused(bad);
    bad = good;
    bad.shape = {INT64_MAX, 4};
    require_refused(bad);
    bad = good;
    bad.type = TensorType::kQ4_K;
    require_refused(bad);
    bad = good;
    bad.shape = {INT64_MAX / 2};  // its bytes overflow
    bad.bytes = -4;
    require_refused(bad);
  });
  test::test("rows of attention heads are put in order, or refused if they are not whole heads",
             [] {
               const TensorReader reader({"/proc/self/exe"});
               TensorSource tensor{"t", TensorType::kF16, {4, 1}, 0, 8, 8, true};
               require(reader.read(tensor, 4).size() == 4, "a sound tensor was refused");
               bool refused = false;
               try {
                 reader.read(tensor, 8);
               } catch (const Error& error) {
                 refused = std::string(error.what()).find("heads") != std::string::npos;
               }
               require(refused, "half a head was read");
               tensor.shape = {INT64_MAX, 0};
               tensor.bytes = 0;
               require(reader.read(tensor, 4).empty(), "no elements are none, however many rows");
             });
  return test::finish();
}
