#pragma once

// What the tests of attention compute, on every back end: a prompt and its candidates.

#include <cstdint>
#include <vector>

#include "check.h"
#include "dmoerm/ops.h"

namespace dmoerm::test {

/// Rows of a prompt and of candidates below it.
struct AttentionCase {
  AttentionShape shape;
  int64_t prompt = 0;
  std::vector<int64_t> candidates;
};

/// Its inputs: q (rows, H*D); k, v (rows, G*D).
struct AttentionData {
  std::vector<float> q, k, v;
  int64_t rows = 0;
  std::vector<AttentionSegment> segments;
};

/// Random inputs: the prompt's rows, if it has any, and then each candidate's, a segment each.
inline AttentionData attention_data(const AttentionCase& c) {
  AttentionData data;
  if (c.prompt > 0) data.segments.push_back({0, c.prompt, 0, {{0, c.prompt}}});
  data.rows = c.prompt;
  for (const int64_t count : c.candidates) {
    data.segments.push_back({data.rows, count, c.prompt, {{0, c.prompt}, {data.rows, count}}});
    data.rows += count;
  }
  data.q = random(data.rows * c.shape.heads * c.shape.head_dim, 7);
  data.k = random(data.rows * c.shape.kv_heads * c.shape.head_dim, 8);
  data.v = random(data.rows * c.shape.kv_heads * c.shape.head_dim, 9);
  return data;
}

/// A candidate's segment with the prompt copied in front of it, as one span or, `apart`, as two.
inline AttentionData with_own_prompt(const AttentionCase& c, const AttentionData& data,
                                     const AttentionSegment& segment, bool apart) {
  AttentionData alone;
  const int64_t count = segment.query_count;
  alone.rows = c.prompt + count;
  if (apart && c.prompt > 0)
    alone.segments = {{0, c.prompt, 0, {{0, c.prompt}}},
                      {c.prompt, count, c.prompt, {{0, c.prompt}, {c.prompt, count}}}};
  else
    alone.segments = {{0, alone.rows, 0, {{0, alone.rows}}}};
  const auto join = [&](const std::vector<float>& from, int64_t width) {
    std::vector<float> to(from.begin(), from.begin() + c.prompt * width);
    const auto own = from.begin() + segment.query_row * width;
    to.insert(to.end(), own, own + count * width);
    return to;
  };
  alone.q = join(data.q, c.shape.heads * c.shape.head_dim);
  alone.k = join(data.k, c.shape.kv_heads * c.shape.head_dim);
  alone.v = join(data.v, c.shape.kv_heads * c.shape.head_dim);
  return alone;
}

}  // namespace dmoerm::test
