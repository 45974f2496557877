// Packed weights on disk: what was written is mapped, and nothing else is.

#include "packed_file.h"

#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "check.h"

namespace {

using namespace dmoerm;
using test::require;
namespace fs = std::filesystem;

/// A folder that goes with the test.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("dmoerm-packed-" + std::to_string(getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

/// Matrices of odd sizes, with bytes in them.
std::vector<Matrix> matrices(int64_t shift = 0) {
  std::vector<Matrix> all(3);
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].bytes = 1000 + 37 * static_cast<int64_t>(i) + shift;
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

/// Whether a file fits matrices of the given sizes.
bool maps(const std::string& path, int64_t shift = 0) {
  ThreadPool pool(2);
  PackedFile file;
  std::vector<Matrix> wanted = matrices(shift);
  return file.map(path, pointers(wanted), pool);
}

void flip_byte(const std::string& path, int64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(at);
  file.put(byte);
}

ModelSource source_of(const std::string& file) {
  ModelSource source;
  source.files = {file};
  source.tensors = {{"w", TensorType::kF32, {2, 2}, 0, 0, 16, false}};
  return source;
}

}  // namespace

int main() {
  const Folder folder;
  ThreadPool pool(2);
  std::vector<Matrix> written = matrices();
  const std::string path = folder / "a/b.packed";

  test::test("what was written is mapped, byte for byte", [&] {
    require(PackedFile::write(path, pointers(written), pool), "not written");
    PackedFile file;
    std::vector<Matrix> mapped = matrices();
    for (Matrix& matrix : mapped) matrix.data = nullptr;
    require(file.map(path, pointers(mapped), pool), "not mapped");
    for (size_t i = 0; i < mapped.size(); ++i)
      require(
          std::memcmp(mapped[i].data, written[i].data, static_cast<size_t>(written[i].bytes)) == 0,
          "other bytes");
  });
  test::test("other sizes, and no file, are not mapped", [&] {
    require(!maps(path, 1), "mapped matrices of other sizes");
    require(!maps(folder / "nothing"), "mapped nothing");
  });
  test::test("one flipped bit anywhere in the data or the header is seen", [&] {
    for (const int64_t at : {0, 8, 20, 4096, 4096 + 999, 3 * 4096 + 1000}) {
      flip_byte(path, at);
      require(!maps(path), "byte " + std::to_string(at) + " was flipped unseen");
      flip_byte(path, at);
      require(maps(path), "the file is not whole again");
    }
  });
  test::test("a file that was cut off is not mapped, and written anew", [&] {
    fs::resize_file(path, 4096 + 500);
    require(!maps(path), "mapped a part");
    fs::resize_file(path, 3);
    require(!maps(path), "mapped three bytes");
    require(PackedFile::write(path, pointers(written), pool) && maps(path), "not written anew");
  });
  test::test("a folder that cannot be made is no error", [&] {
    std::ofstream(folder / "file") << "x";
    require(!PackedFile::write(folder / "file/b.packed", pointers(written), pool), "written");
  });
  test::test("the name tells base, type and unit apart", [&] {
    const std::string base = folder / "base";
    std::ofstream(base) << "weights";
    const auto name = [&](WeightType type, const char* isa) {
      return PackedFile::path_for("cache", source_of(base), type, isa);
    };
    const std::string first = name(WeightType::kBF16, "avx512");
    require(first == name(WeightType::kBF16, "avx512"), "the same base has two names");
    require(first != name(WeightType::kInt8, "avx512"), "types share a name");
    require(first != name(WeightType::kBF16, "avx2"), "units share a name");
    fs::last_write_time(base, fs::last_write_time(base) - std::chrono::seconds(5));
    require(first != name(WeightType::kBF16, "avx512"), "a base that changed keeps its name");
  });
  test::test("files not used for 30 days go when another is written", [&] {
    const fs::path old = folder / "a/old.packed";
    const fs::path recent = folder / "a/recent.packed";
    const fs::path foreign = folder / "a/old.txt";
    const auto now = fs::file_time_type::clock::now();
    for (const auto& [file, days] : {std::pair{old, 31}, {recent, 29}, {foreign, 31}}) {
      std::ofstream(file) << "x";
      fs::last_write_time(file, now - std::chrono::hours(24 * days));
    }
    require(PackedFile::write(path, pointers(written), pool), "not written");
    require(!fs::exists(old) && fs::exists(recent) && fs::exists(foreign),
            "removed the wrong ones");
  });
  return test::finish();
}
