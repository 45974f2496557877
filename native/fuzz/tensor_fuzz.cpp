// Descriptions of tensors are untrusted: whatever they say, a reader stays inside the file or throws.

#include <fuzzer/FuzzedDataProvider.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "dmoerm/error.h"
#include "mapped_file.h"

namespace {

constexpr int64_t kFileBytes = 4096;

/// A small file of numbers, written once.
const std::string& weights_file() {
  static const std::string path = [] {
    const char* folder = std::getenv("TMPDIR");
    std::string name = std::string(folder == nullptr ? "/tmp" : folder) + "/dmoerm-fuzz-" +
                       std::to_string(getpid());
    std::ofstream out(name, std::ios::binary);
    for (int64_t i = 0; i < kFileBytes; ++i) out.put(static_cast<char>(i % 61));
    return name;
  }();
  return path;
}

/// Sizes near what fits, or anything.
int64_t size_from(FuzzedDataProvider& data) {
  return data.ConsumeBool() ? data.ConsumeIntegralInRange<int64_t>(-1, 300)
                            : data.ConsumeIntegral<int64_t>();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace dmoerm;
  FuzzedDataProvider data(bytes, size);
  static const TensorReader reader({weights_file()});
  TensorSource tensor;
  tensor.name = "fuzzed";
  tensor.type = static_cast<TensorType>(data.ConsumeIntegralInRange<int>(0, 7));
  for (int n = data.ConsumeIntegralInRange<int>(0, 3); n > 0; --n)
    tensor.shape.push_back(size_from(data));
  tensor.file = data.ConsumeIntegralInRange<int32_t>(-1, 1);
  tensor.offset = size_from(data);
  tensor.bytes = size_from(data);
  if (data.ConsumeBool()) {
    // What a header that agrees with itself says: most random ones do not get past the first check.
    int64_t count = 1;
    for (const int64_t one : tensor.shape)
      if (__builtin_mul_overflow(count, one, &count)) return 0;
    if (__builtin_mul_overflow(count / block_elements(tensor.type), block_bytes(tensor.type),
                               &tensor.bytes))
      return 0;
  }
  tensor.rope_interleaved = data.ConsumeBool();
  try {
    reader.read(tensor, data.ConsumeIntegralInRange<int64_t>(0, 64));
  } catch (const Error&) {
  }
  return 0;
}
