// Element types on disk -> float32, for whole tensors while loading.

#include <cmath>
#include <cstring>

#include "dmoerm/error.h"
#include "dmoerm/tensor.h"

namespace dmoerm {
namespace {

#include "decode.inc"

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
  decode_blocks(out, source, type, count, block_elements(type), block_bytes(type));
}

}  // namespace dmoerm
