// A packed file is a cache that anything may have happened to: it is mapped whole, or not at all.

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "packed_file.h"

namespace {

using namespace dmoerm;

constexpr int64_t kBytes[] = {100, 4096, 37};

std::vector<Matrix> matrices() {
  std::vector<Matrix> all(3);
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].bytes = kBytes[i];
    all[i].owned.reserve(all[i].bytes);
    std::iota(all[i].owned.data(), all[i].owned.data() + all[i].bytes, static_cast<uint8_t>(i));
    all[i].data = all[i].owned.data();
  }
  return all;
}

std::vector<Matrix*> pointers(std::vector<Matrix>& all) {
  std::vector<Matrix*> to;
  for (Matrix& matrix : all) to.push_back(&matrix);
  return to;
}

/// A good file's bytes: inputs are what is laid over them.
const std::vector<char>& good_file(const std::string& path, ThreadPool& pool) {
  static const std::vector<char> bytes = [&] {
    std::vector<Matrix> all = matrices();
    PackedFile::write(path, pointers(all), pool);
    std::ifstream in(path, std::ios::binary);
    return std::vector<char>(std::istreambuf_iterator<char>(in), {});
  }();
  return bytes;
}

}  // namespace

/// Input: triples of a position (2 bytes) and a byte to put there; an odd rest cuts the file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  static ThreadPool pool(1);
  const char* folder = std::getenv("TMPDIR");
  static const std::string path = std::string(folder == nullptr ? "/tmp" : folder) +
                                  "/dmoerm-packed-fuzz-" + std::to_string(getpid());
  std::vector<char> bytes = good_file(path, pool);
  bool changed = false;
  for (; size >= 3; input += 3, size -= 3) {
    const size_t at = (static_cast<size_t>(input[0]) << 8 | input[1]) % bytes.size();
    changed = changed || bytes[at] != static_cast<char>(input[2]);
    bytes[at] = static_cast<char>(input[2]);
  }
  if (size > 0) bytes.resize(bytes.size() * input[0] / 256);
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::vector<Matrix> wanted = matrices();
  PackedFile file;
  if (file.map(path, pointers(wanted), pool)) {
    const std::vector<Matrix> original = matrices();
    for (size_t i = 0; i < wanted.size(); ++i)
      for (int64_t at = 0; at < wanted[i].bytes; ++at)
        if (wanted[i].data[at] != original[i].data[at]) std::abort();  // damage was mapped
  }
  return 0;
}
