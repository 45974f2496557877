#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dmoerm/engine.h"
#include "dmoerm/ops.h"
#include "mapped_file.h"

namespace dmoerm {

/// Packed weights of a base on disk, so that the next start maps them into memory instead of packing
/// again. A file belongs to one base, weight type and unit, which its name says; it is written whole
/// or not at all, and one that does not fit or is damaged is written anew. Whoever writes one removes those that
/// nobody has mapped for 30 days.
class PackedFile {
 public:
  /// Path for a base's weights packed as `type` for the unit `isa`, in `directory`. The base is told by its
  /// files' paths, sizes and times of change, and by its tensors.
  static std::string path_for(const std::string& directory, const ModelSource& source,
                              WeightType type, const std::string& isa);

  /// Points matrices, whose sizes are known, into the file. False if there is none, or its sizes or checksums
  /// are not those of the matrices.
  bool map(const std::string& path, const std::vector<Matrix*>& matrices, ThreadPool& pool);

  /// Writes the matrices. False if the directory or file cannot be written.
  static bool write(const std::string& path, const std::vector<Matrix*>& matrices,
                    ThreadPool& pool);

 private:
  std::unique_ptr<MappedFile> file_;
};

}  // namespace dmoerm
