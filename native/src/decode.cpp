// Element types on disk -> float32. Block layouts are those of the GGUF format (ggml): scales
// first, then packed values.

#include <cmath>
#include <cstring>

#include "dmoerm/error.h"
#include "dmoerm/tensor.h"

namespace dmoerm {
namespace {

float from_f16(const uint8_t* p) {
  uint16_t h;
  std::memcpy(&h, p, sizeof h);
  const int exponent = (h >> 10) & 31;
  const int mantissa = h & 1023;
  float value;
  if (exponent == 0)
    value = std::ldexp(static_cast<float>(mantissa), -24);
  else if (exponent == 31)
    value = mantissa == 0 ? INFINITY : NAN;
  else
    value = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return (h & 0x8000) != 0 ? -value : value;
}

/// 32 values: f16 scale, 32 signed bytes.
void decode_q8_0(float* out, const uint8_t* b) {
  const float d = from_f16(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

/// 32 values: f16 scale, 16 bytes of nibbles (low nibbles first half, high nibbles second half),
/// offset 8.
void decode_q4_0(float* out, const uint8_t* b) {
  const float d = from_f16(b);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((b[2 + i] & 15) - 8);
    out[i + 16] = d * static_cast<float>((b[2 + i] >> 4) - 8);
  }
}

/// 32 values: f16 scale, f16 minimum, nibbles as in Q4_0.
void decode_q4_1(float* out, const uint8_t* b) {
  const float d = from_f16(b);
  const float m = from_f16(b + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(b[4 + i] & 15) + m;
    out[i + 16] = d * static_cast<float>(b[4 + i] >> 4) + m;
  }
}

/// 256 values: f16 super-scale, f16 super-minimum, 12 bytes with eight 6-bit scales and minima, 128
/// bytes of nibbles.
void decode_q4_k(float* out, const uint8_t* b) {
  const float d = from_f16(b);
  const float dmin = from_f16(b + 2);
  const uint8_t* s = b + 4;
  const uint8_t* q = b + 16;
  for (int j = 0; j < 8; ++j) {
    const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | ((s[j - 4] >> 6) << 4);
    const int minimum = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | ((s[j] >> 6) << 4);
    const float step = d * static_cast<float>(scale);
    const float low = dmin * static_cast<float>(minimum);
    const uint8_t* nibbles = q + j / 2 * 32;
    for (int i = 0; i < 32; ++i) {
      const int value = j % 2 == 0 ? nibbles[i] & 15 : nibbles[i] >> 4;
      out[j * 32 + i] = step * static_cast<float>(value) - low;
    }
  }
}

/// 256 values: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales, f16
/// super-scale.
void decode_q6_k(float* out, const uint8_t* b) {
  const auto* scales = reinterpret_cast<const int8_t*>(b + 192);
  const float d = from_f16(b + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t* low = b + half * 64;
    const uint8_t* high = b + 128 + half * 32;
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int i = 0; i < 32; ++i) {
        const uint8_t nibbles = low[quarter % 2 * 32 + i];
        const int value =
            (quarter < 2 ? nibbles & 15 : nibbles >> 4) | (((high[i] >> (2 * quarter)) & 3) << 4);
        const float scale = d * static_cast<float>(scales[half * 8 + quarter * 2 + i / 16]);
        out[half * 128 + quarter * 32 + i] = scale * static_cast<float>(value - 32);
      }
    }
  }
}

}  // namespace

int64_t block_elements(TensorType type) {
  switch (type) {
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
      return 1;
    case TensorType::kQ8_0:
    case TensorType::kQ4_0:
    case TensorType::kQ4_1:
      return 32;
    case TensorType::kQ4_K:
    case TensorType::kQ6_K:
      return 256;
  }
  throw Error(Code::kInternal, "UNKNOWN_TENSOR_TYPE", "", "unknown tensor type");
}

int64_t block_bytes(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return 4;
    case TensorType::kF16:
    case TensorType::kBF16:
      return 2;
    case TensorType::kQ8_0:
      return 34;
    case TensorType::kQ4_0:
      return 18;
    case TensorType::kQ4_1:
      return 20;
    case TensorType::kQ4_K:
      return 144;
    case TensorType::kQ6_K:
      return 210;
  }
  throw Error(Code::kInternal, "UNKNOWN_TENSOR_TYPE", "", "unknown tensor type");
}

void decode(float* out, const uint8_t* source, TensorType type, int64_t count) {
  const int64_t step = block_elements(type);
  const int64_t bytes = block_bytes(type);
  switch (type) {
    case TensorType::kF32:
      std::memcpy(out, source, static_cast<size_t>(count) * 4);
      return;
    case TensorType::kF16:
      for (int64_t i = 0; i < count; ++i) out[i] = from_f16(source + 2 * i);
      return;
    case TensorType::kBF16:
      for (int64_t i = 0; i < count; ++i) {
        uint16_t half;
        std::memcpy(&half, source + 2 * i, sizeof half);
        const uint32_t bits = static_cast<uint32_t>(half) << 16;
        std::memcpy(out + i, &bits, sizeof bits);
      }
      return;
    default:
      break;
  }
  for (int64_t i = 0; i < count; i += step, source += bytes) {
    switch (type) {
      case TensorType::kQ8_0:
        decode_q8_0(out + i, source);
        break;
      case TensorType::kQ4_0:
        decode_q4_0(out + i, source);
        break;
      case TensorType::kQ4_1:
        decode_q4_1(out + i, source);
        break;
      case TensorType::kQ4_K:
        decode_q4_k(out + i, source);
        break;
      default:
        decode_q6_k(out + i, source);
        break;
    }
  }
}

}  // namespace dmoerm
