#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dmoerm {

/// How a tensor's elements are stored on disk. The quantised types are GGUF blocks.
enum class TensorType { kF32, kF16, kBF16, kQ8_0, kQ4_0, kQ4_1, kQ4_K, kQ6_K };

/// Elements per block (1 for plain types).
int64_t block_elements(TensorType type);

/// Bytes per block.
int64_t block_bytes(TensorType type);

/// Where a tensor's bytes lie. Offsets and sizes are untrusted: whoever reads checks them against
/// the file.
struct TensorSource {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;  ///< outermost first
  int32_t file = 0;            ///< index into the owner's list of files
  int64_t offset = 0;          ///< first byte in the file
  int64_t bytes = 0;
  bool rope_interleaved =
      false;  ///< rows of a q/k projection ordered for RoPE over neighbouring pairs
};

/// Decodes `count` elements (a multiple of `block_elements`) from `source` to float32.
/// `source` needs no alignment.
void decode(float* out, const uint8_t* source, TensorType type, int64_t count);

}  // namespace dmoerm
