#include "packed_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "dmoerm/error.h"

namespace dmoerm {
namespace {

constexpr char kMagic[8] = {'d', 'm', 'o', 'e', 'r', 'm', 'p', '1'};
constexpr int64_t kAlignment = 4096;

struct Entry {
  int64_t offset;
  int64_t bytes;
  uint64_t checksum;
};

struct Header {
  char magic[8];
  int64_t count;
};

int64_t aligned(int64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
  return hash ^ (hash >> 32);
}

/// Tells damage, not malice: four chains of 8-byte words side by side.
uint64_t checksum(const uint8_t* data, int64_t bytes) {
  uint64_t chains[4] = {1, 2, 3, 4};
  int64_t i = 0;
  for (; i + 32 <= bytes; i += 32)
    for (int c = 0; c < 4; ++c) {
      uint64_t word;
      std::memcpy(&word, data + i + 8 * c, 8);
      chains[c] = mix(chains[c], word);
    }
  for (; i < bytes; ++i) chains[0] = mix(chains[0], data[i]);
  uint64_t hash = static_cast<uint64_t>(bytes);
  for (const uint64_t chain : chains) hash = mix(hash, chain);
  return hash;
}

uint64_t mix_text(uint64_t hash, const std::string& text) {
  return mix(hash, checksum(reinterpret_cast<const uint8_t*>(text.data()),
                            static_cast<int64_t>(text.size())));
}

std::vector<Entry> entries_of(const std::vector<Matrix*>& matrices) {
  std::vector<Entry> entries;
  int64_t at = aligned(static_cast<int64_t>(sizeof(Header) + matrices.size() * sizeof(Entry)));
  for (const Matrix* matrix : matrices) {
    entries.push_back({at, matrix->bytes, 0});
    at = aligned(at + matrix->bytes);
  }
  return entries;
}

class Output {
 public:
  explicit Output(const std::string& path)
      : fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {}
  ~Output() {
    if (fd_ >= 0) close(fd_);
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  bool put(int64_t offset, const void* data, int64_t bytes) const {
    const auto* from = static_cast<const uint8_t*>(data);
    for (int64_t done = 0; done < bytes;) {
      const ssize_t count =
          pwrite(fd_, from + done, static_cast<size_t>(bytes - done), offset + done);
      if (count <= 0) return false;
      done += count;
    }
    return true;
  }
  bool good() const { return fd_ >= 0; }

 private:
  int fd_;
};

/// Removes packed files and unfinished ones of the folder that have not been used for 30 days.
void remove_unused(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(24 * 30);
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string extension = at->path().extension().string();
    std::error_code ignored;
    if ((extension == ".packed" || extension == ".part") && at->last_write_time(ignored) < old)
      fs::remove(at->path(), ignored);
  }
}

}  // namespace

std::string PackedFile::path_for(const std::string& directory, const ModelSource& source,
                                 WeightType type, const std::string& isa) {
  uint64_t hash = 0;
  for (const std::string& file : source.files) {
    struct stat info{};
    if (stat(file.c_str(), &info) != 0) continue;  // whoever reads the tensors reports it
    hash = mix_text(hash, std::filesystem::absolute(file).lexically_normal().string());
    for (const int64_t fact :
         {static_cast<int64_t>(info.st_size), static_cast<int64_t>(info.st_ino),
          static_cast<int64_t>(info.st_mtim.tv_sec), static_cast<int64_t>(info.st_mtim.tv_nsec)})
      hash = mix(hash, static_cast<uint64_t>(fact));
  }
  for (const TensorSource& tensor : source.tensors) {
    hash = mix_text(hash, tensor.name);
    for (const int64_t fact : {static_cast<int64_t>(tensor.type), tensor.offset, tensor.bytes,
                               static_cast<int64_t>(tensor.rope_interleaved)})
      hash = mix(hash, static_cast<uint64_t>(fact));
  }
  static constexpr const char* kTypes[] = {"f32", "bf16", "int8", "stored"};
  char name[17];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(hash));
  return directory + "/" + name + "-" + kTypes[static_cast<int>(type)] + "-" + isa + ".packed";
}

bool PackedFile::map(const std::string& path, const std::vector<Matrix*>& matrices,
                     ThreadPool& pool) {
  try {
    file_ = std::make_unique<MappedFile>(path);
  } catch (const Error&) {
    return false;
  }
  const std::vector<Entry> wanted = entries_of(matrices);
  const int64_t end = wanted.empty() ? 0 : wanted.back().offset + wanted.back().bytes;
  Header header{};
  if (file_->size() < std::max<int64_t>(end, sizeof header)) return false;
  std::memcpy(&header, file_->data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 ||
      header.count != static_cast<int64_t>(matrices.size()))
    return false;
  std::atomic<bool> whole{true};
  pool.run(header.count, [&](int64_t i, int) {
    Entry entry;
    std::memcpy(&entry, file_->data() + sizeof header + i * sizeof entry, sizeof entry);
    if (entry.offset != wanted[i].offset || entry.bytes != wanted[i].bytes ||
        entry.checksum != checksum(file_->data() + entry.offset, entry.bytes))
      whole.store(false);
    else
      matrices[i]->data = file_->data() + entry.offset;
  });
  std::error_code ignored;
  if (whole.load())
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now(), ignored);
  return whole.load();
}

bool PackedFile::write(const std::string& path, const std::vector<Matrix*>& matrices,
                       ThreadPool& pool) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(folder, error);
  remove_unused(folder);
  const std::string unfinished = path + "." + std::to_string(getpid()) + ".part";
  std::vector<Entry> entries = entries_of(matrices);
  pool.run(static_cast<int64_t>(entries.size()), [&](int64_t i, int) {
    entries[i].checksum = checksum(matrices[i]->data, matrices[i]->bytes);
  });
  bool good;
  {
    const Output out(unfinished);
    Header header{};
    std::memcpy(header.magic, kMagic, sizeof kMagic);
    header.count = static_cast<int64_t>(matrices.size());
    good = out.good() && out.put(0, &header, sizeof header) &&
           out.put(sizeof header, entries.data(),
                   static_cast<int64_t>(entries.size() * sizeof(Entry)));
    for (size_t i = 0; good && i < entries.size(); ++i)
      good = out.put(entries[i].offset, matrices[i]->data, entries[i].bytes);
  }
  if (good) std::filesystem::rename(unfinished, path, error);
  if (!good || error) {
    std::filesystem::remove(unfinished, error);
    return false;
  }
  return true;
}

}  // namespace dmoerm
