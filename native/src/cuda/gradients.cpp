// GradientOps on a GPU: what the host has to say is staged, then kernels are queued.

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "backend.h"
#include "device.h"
#include "dmoerm/error.h"
#include "training_kernels.h"

namespace dmoerm::cuda {
namespace {

/// Rows whose sum one block takes. Fixed: a sum's order depends on the number of its rows alone.
constexpr int64_t kChunkRows = 512;
/// Queries that one part of the sums over a key's queries takes. Fixed for the same reason.
constexpr int32_t kPartQueries = 512;
/// Bytes of such parts at a time.
constexpr int64_t kPartBytes = int64_t{256} << 20;
/// As many blocks keep a GPU busy without chunks.
constexpr int64_t kManyBlocks = 512;

int64_t chunks_of(int64_t T, int64_t chunk_rows) { return (T + chunk_rows - 1) / chunk_rows; }

/// out (count) += sums that `queue` leaves in parts (chunks, count).
template <class Queue>
void sum_chunks(float* out, int64_t count, int64_t chunks, Device& device, Queue queue) {
  Buffer<float> parts;
  parts.reserve(chunks * count, device);
  queue(Global<float>{parts.data(), chunks * count});
  queue_add_chunks({{parts.data(), chunks * count}, {out, count}, count, chunks}, device.stream());
}

void sum_columns(float* out, const float* x, const float* y, const float* scales, int64_t T,
                 int64_t N, Device& device) {
  const int64_t chunks = chunks_of(T, kChunkRows);
  sum_chunks(out, N, chunks, device, [&](Global<float> parts) {
    const auto optional = [](const float* data, int64_t count) {
      return Global<const float>{data, data == nullptr ? 0 : count};
    };
    queue_column_sums(
        {{x, T * N}, optional(y, T * N), optional(scales, T), parts, T, N, kChunkRows},
        device.stream());
  });
}

void rms_norm(float* dx, float* dweight, const float* dy, const float* x, const float* weight,
              int64_t T, int64_t C, float eps, Scratch&, ThreadPool& pool) {
  if (T == 0) return;
  Device& device = device_of(pool);
  Buffer<float> scales;
  if (dweight != nullptr) scales.reserve(T, device);
  queue_norm_gradient({{x, T * C},
                       {dy, T * C},
                       {weight, C},
                       {dx, T * C},
                       {scales.data(), scales.capacity()},
                       T,
                       C,
                       eps},
                      device.stream());
  if (dweight != nullptr) sum_columns(dweight, dy, x, scales.data(), T, C, device);
}

void gated(float* h, const float* gate, const float* up, int64_t T, int64_t F, ThreadPool& pool) {
  if (T == 0) return;
  const int64_t count = T * F;
  GatedArguments a;
  a.gate = {const_cast<float*>(gate), count};  // which this kernel only reads
  a.up = {const_cast<float*>(up), count};
  a.h = {h, count};
  a.count = count;
  queue_gated_rows(a, device_of(pool).stream());
}

void gated_backward(float* gate, float* up, const float* dh, int64_t T, int64_t F,
                    ThreadPool& pool) {
  if (T == 0) return;
  const int64_t count = T * F;
  queue_gated_gradient({{gate, count}, {up, count}, {}, {dh, count}, count},
                       device_of(pool).stream());
}

/// Tiles of keys whose parts go together.
struct KeyBatch {
  std::vector<KeyTile> tiles;
  std::vector<KeyPart> parts;
};

/// What the kernels of attention are told: tiles of queries with their keys, and tiles of keys with their queries.
struct Told {
  std::vector<QueryTile> tiles;
  std::vector<DeviceSpan> spans;
  std::vector<KeyBatch> key_batches;
  std::vector<KeyVisit> visits;

  /// Tiles of `most` rows; at most `most_parts` parts in a batch, but for a tile that has more.
  Told(const std::vector<AttentionSegment>& segments, int64_t first_key, int64_t most,
       int64_t most_parts) {
    for (const AttentionSegment& segment : segments) add_queries(segment, most);
    add_keys(segments, first_key, most, static_cast<size_t>(most_parts));
  }

 private:
  void add_queries(const AttentionSegment& segment, int64_t most) {
    const auto first = static_cast<int32_t>(spans.size());
    int64_t position = 0;
    for (const KvSpan& span : segment.spans) {
      if (span.count == 0) continue;
      spans.push_back({span.row, static_cast<int32_t>(span.count), static_cast<int32_t>(position)});
      position += span.count;
    }
    const int32_t count = static_cast<int32_t>(spans.size()) - first;
    for (int64_t i = 0; i < segment.query_count; i += most)
      tiles.push_back({segment.query_row + i,
                       static_cast<int32_t>(std::min(most, segment.query_count - i)),
                       static_cast<int32_t>(segment.position + i), first, count});
  }

  /// Keys between two neighbouring borders of spans have the same queries.
  void add_keys(const std::vector<AttentionSegment>& segments, int64_t first_key, int64_t most,
                size_t most_parts) {
    std::set<int64_t> borders;
    const auto over_spans = [&](auto body) {
      for (const AttentionSegment& segment : segments) {
        int64_t position = 0;
        for (const KvSpan& span : segment.spans) {
          if (span.row >= first_key && span.count > 0 && segment.query_count > 0)
            body(segment, span, position);
          position += span.count;
        }
      }
    };
    over_spans([&](const AttentionSegment&, const KvSpan& span, int64_t) {
      borders.insert(span.row);
      borders.insert(span.row + span.count);
    });
    std::map<int64_t, std::vector<KeyVisit>> by_row;
    over_spans([&](const AttentionSegment& segment, const KvSpan& span, int64_t position) {
      for (auto at = borders.find(span.row); *at < span.row + span.count; ++at)
        by_row[*at].push_back({segment.query_row, static_cast<int32_t>(segment.query_count),
                               static_cast<int32_t>(segment.position),
                               static_cast<int32_t>(position + *at - span.row)});
    });
    for (const auto& [row, own] : by_row) {
      const std::vector<KeyPart> parts = add_visits(own);
      const int64_t end = *std::next(borders.find(row));
      for (int64_t first = row; first < end; first += most) {
        if (key_batches.empty() || key_batches.back().parts.size() + parts.size() > most_parts)
          key_batches.emplace_back();
        KeyBatch& batch = key_batches.back();
        const auto tile = static_cast<int32_t>(batch.tiles.size());
        batch.tiles.push_back({first, static_cast<int32_t>(std::min(most, end - first)),
                               static_cast<int32_t>(first - row),
                               static_cast<int32_t>(batch.parts.size()),
                               static_cast<int32_t>(parts.size())});
        for (const KeyPart& part : parts)
          batch.parts.push_back({tile, part.first_visit, part.visit_count});
      }
    }
  }

  /// Visits in pieces of at most kPartQueries queries, and which of them make a part.
  std::vector<KeyPart> add_visits(const std::vector<KeyVisit>& own) {
    std::vector<KeyPart> parts;
    int32_t queries = kPartQueries;  // of the last part
    for (const KeyVisit& visit : own)
      for (int32_t i = 0; i < visit.query_count; i += kPartQueries) {
        const int32_t count = std::min(kPartQueries, visit.query_count - i);
        if (queries + count > kPartQueries) {
          parts.push_back({0, static_cast<int32_t>(visits.size()), 0});
          queries = 0;
        }
        queries += count;
        ++parts.back().visit_count;
        visits.push_back({visit.query_row + i, count, visit.position + i, visit.key_position});
      }
    return parts;
  }
};

template <class T>
int64_t bytes_of(const std::vector<T>& values) {
  return static_cast<int64_t>(values.size() * sizeof(T));
}

void attention(float* dq, float* dk, float* dv, const float* dout, const float* q, const float* k,
               const float* v, int64_t query_rows, int64_t key_rows, int64_t first_key,
               const std::vector<AttentionSegment>& segments, const AttentionShape& shape, Scratch&,
               ThreadPool& pool) {
  Device& device = device_of(pool);
  const int64_t D = shape.head_dim;
  const int64_t part_count = shape.heads * 2 * gradient_tile(D) * D;  // numbers of a part
  const Told told(segments, first_key, gradient_tile(D),
                  std::max<int64_t>(1, kPartBytes / (part_count * 4)));
  if (told.tiles.empty()) return;
  Buffer<float> softmax, part_sums;
  softmax.reserve(query_rows * shape.heads * 3, device);
  int64_t staged = bytes_of(told.tiles) + bytes_of(told.spans) + bytes_of(told.visits);
  size_t most_parts = 0;
  for (const KeyBatch& batch : told.key_batches) {
    staged += bytes_of(batch.tiles) + bytes_of(batch.parts);
    most_parts = std::max(most_parts, batch.parts.size());
  }
  part_sums.reserve(static_cast<int64_t>(most_parts) * part_count, device);
  device.begin_staging(3 + 2 * static_cast<int64_t>(told.key_batches.size()), staged);
  const int64_t queries = query_rows * shape.heads * D, keys = key_rows * shape.kv_heads * D;
  AttentionGradientArguments a;
  a.tiles = device.stage(told.tiles);
  a.spans = device.stage(told.spans);
  a.visits = device.stage(told.visits);
  a.part_sums = {part_sums.data(), static_cast<int64_t>(most_parts) * part_count};
  a.q = {q, queries};
  a.k = {k, keys};
  a.v = {v, keys};
  a.dout = {dout, queries};
  a.dq = {dq, queries};
  a.dk = {dk, keys};
  a.dv = {dv, keys};
  a.softmax = {softmax.data(), query_rows * shape.heads * 3};
  a.heads = static_cast<int32_t>(shape.heads);
  a.kv_heads = static_cast<int32_t>(shape.kv_heads);
  a.head_dim = static_cast<int32_t>(D);
  a.window = static_cast<int32_t>(shape.window);
  a.scale = shape.scale;
  queue_query_gradient(a, device.stream());
  for (const KeyBatch& batch : told.key_batches) {
    a.key_tiles = device.stage(batch.tiles);
    a.parts = device.stage(batch.parts);
    queue_key_gradient(a, device.stream());
  }
}

void outer(float* out, const float* a, int64_t a_stride, int64_t M, const float* b,
           int64_t b_stride, int64_t N, int64_t T, ThreadPool& pool) {
  if (T == 0) return;
  Device& device = device_of(pool);
  const int64_t blocks =
      (M + kOuterRows - 1) / kOuterRows * ((N + kOuterColumns - 1) / kOuterColumns);
  const int64_t chunk_rows = blocks >= kManyBlocks ? T : kChunkRows;
  sum_chunks(out, M * N, chunks_of(T, chunk_rows), device, [&](Global<float> parts) {
    queue_outer({{a, (T - 1) * a_stride + M},
                 {b, (T - 1) * b_stride + N},
                 parts,
                 a_stride,
                 b_stride,
                 M,
                 N,
                 T,
                 chunk_rows},
                device.stream());
  });
}

void sum_rows(float* out, const float* x, int64_t T, int64_t N, ThreadPool& pool) {
  if (T > 0) sum_columns(out, x, nullptr, nullptr, T, N, device_of(pool));
}

void transpose(float* to, const float* from, int64_t T, int64_t N, ThreadPool& pool) {
  if (T > 0) queue_transpose({{from, T * N}, {to, T * N}, T, N}, device_of(pool).stream());
}

void scatter_add(float* to, int64_t to_rows, const float* from, const std::vector<int64_t>& rows,
                 int64_t width, ThreadPool& pool) {
  if (rows.empty()) return;
  Device& device = device_of(pool);
  const auto T = static_cast<int64_t>(rows.size());
  device.begin_staging(1, bytes_of(rows));
  queue_scatter_add({{from, T * width}, {to, to_rows * width}, device.stage(rows), T, width},
                    device.stream());
}

void drop_out(float* to, const float* from, const std::vector<RowDropout>& rows, int64_t K,
              ThreadPool& pool) {
  if (rows.empty()) return;
  Device& device = device_of(pool);
  std::vector<DeviceDropout> told;
  for (const RowDropout& row : rows) told.push_back({row.key, row.threshold, row.scale});
  const auto T = static_cast<int64_t>(rows.size());
  device.begin_staging(1, bytes_of(told));
  queue_drop_out({{from, T * K}, {to, T * K}, device.stage(told), T, K}, device.stream());
}

void change(Change change, float* y, const float* x, float factor, int64_t count,
            ThreadPool& pool) {
  if (count == 0) return;
  queue_elements(change, {{x, x == nullptr ? 0 : count}, {y, count}, count, factor},
                 device_of(pool).stream());
}

void clear(float* x, int64_t count, ThreadPool& pool) {
  change(Change::kClear, x, nullptr, 1, count, pool);
}

void copy(float* to, const float* from, int64_t count, ThreadPool& pool) {
  change(Change::kCopy, to, from, 1, count, pool);
}

void add(float* y, const float* x, int64_t count, ThreadPool& pool) {
  change(Change::kAdd, y, x, 1, count, pool);
}

void scale(float* x, float factor, int64_t count, ThreadPool& pool) {
  change(Change::kScale, x, nullptr, factor, count, pool);
}

std::vector<double> read(const Buffer<double>& from, int64_t count, Device& device) {
  std::vector<double> values(count);
  device.read(values.data(), from.data(), bytes_of(values));
  return values;
}

std::vector<double> token_logprobs(float* logits, int64_t V, const std::vector<int32_t>& targets,
                                   const std::vector<float>& weights, ThreadPool& pool) {
  if (targets.empty()) return {};
  Device& device = device_of(pool);
  const auto T = static_cast<int64_t>(targets.size());
  Buffer<double> logprobs;
  logprobs.reserve(T, device);
  device.begin_staging(2, bytes_of(targets) + bytes_of(weights));
  queue_token_logprobs(
      {{logits, T * V}, device.stage(targets), device.stage(weights), {logprobs.data(), T}, T, V},
      device.stream());
  return read(logprobs, T, device);
}

std::vector<double> squares(const float* x, int64_t count, ThreadPool& pool) {
  if (count == 0) return {};
  Device& device = device_of(pool);
  const int64_t blocks = chunks_of(count, kSquaresBlock);
  Buffer<double> sums;
  sums.reserve(blocks, device);
  queue_squares({{x, count}, {sums.data(), blocks}, count, kSquaresBlock}, device.stream());
  return read(sums, blocks, device);
}

void adam(float* w, float* m, float* v, const float* g, float scale, int64_t count,
          const AdamStep& step, ThreadPool& pool) {
  if (count == 0) return;
  const auto correction = [&](float beta) {
    const double power = std::pow(static_cast<double>(beta), static_cast<double>(step.step));
    return static_cast<float>(1.0 / (1.0 - power));
  };
  AdamArguments a;
  a.w = {w, count};
  a.m = {m, count};
  a.v = {v, count};
  a.g = {g, count};
  a.count = count;
  a.scale = scale;
  a.learning_rate = step.learning_rate;
  a.beta1 = step.beta1;
  a.beta2 = step.beta2;
  a.eps = step.eps;
  a.decay = step.decay;
  a.first = correction(step.beta1);
  a.second = correction(step.beta2);
  queue_adam(a, device_of(pool).stream());
}

}  // namespace

const GradientOps* find_gradients() {
  static const GradientOps ops{"cuda",  rms_norm, gated,     gated_backward, attention,
                               outer,   sum_rows, transpose, scatter_add,    drop_out,
                               clear,   copy,     add,       scale,          token_logprobs,
                               squares, adam};
  return find_ops() == nullptr ? nullptr : &ops;
}

}  // namespace dmoerm::cuda
