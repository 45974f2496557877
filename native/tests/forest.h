#pragma once

#include <cstdint>
#include <vector>

#include "dmoerm/ops.h"

namespace dmoerm::test {

/// A forest whose first `frozen` rows have no derivatives.
struct Forest {
  AttentionShape shape;
  int64_t frozen = 0;
  int64_t rows = 0;
  std::vector<AttentionSegment> segments;  ///< of the rows that have

  int64_t queries() const { return rows - frozen; }
};

/// Prompts of the given lengths, two candidates below each; with `readout` prompts and candidates are frozen, and two
/// short runs follow each candidate.
inline Forest forest(const AttentionShape& shape, const std::vector<int64_t>& lengths,
                     bool readout) {
  Forest out{shape, 0, 0, {}};
  struct Tail {
    std::vector<KvSpan> spans;
    int64_t end;
  };
  std::vector<Tail> tails;
  const auto add = [&](Tail above, int64_t count) {
    const int64_t position = above.end;
    above.spans.push_back({out.rows, count});
    out.segments.push_back({out.rows, count, position, above.spans});
    out.rows += count;
    above.end += count;
    return above;
  };
  for (const int64_t length : lengths) {
    const Tail prompt = add({{}, 0}, length);
    for (const int64_t own : {length / 2 + 1, length / 3 + 2}) tails.push_back(add(prompt, own));
  }
  if (!readout) return out;
  out.segments.clear();
  out.frozen = out.rows;
  for (const int64_t count : {3, 5})
    for (const Tail& tail : tails) add(tail, count);
  for (AttentionSegment& segment : out.segments) segment.query_row -= out.frozen;
  return out;
}

}  // namespace dmoerm::test
