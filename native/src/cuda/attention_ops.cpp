// Attention's ops: keys and values lie in float32, or are packed for tensor cores.

#include "attention_ops.h"

#include <algorithm>
#include <string>
#include <vector>

#include "device.h"
#include "dmoerm/error.h"
#include "kernels.h"

namespace dmoerm::cuda {
namespace {

/// What attention's kernel is told of the segments.
struct Segments {
  std::vector<QueryTile> tiles;
  std::vector<DeviceSpan> spans;
  int64_t query_rows = 0;
  int64_t key_rows = 0;

  /// Tiles of at most `most` queries.
  Segments(const std::vector<AttentionSegment>& segments, int64_t most) {
    for (const AttentionSegment& segment : segments) {
      const auto first = static_cast<int32_t>(spans.size());
      int64_t position = 0;
      for (const KvSpan& span : segment.spans) {
        if (span.count == 0) continue;
        spans.push_back(
            {span.row, static_cast<int32_t>(span.count), static_cast<int32_t>(position)});
        position += span.count;
        key_rows = std::max(key_rows, span.row + span.count);
      }
      const int32_t count = static_cast<int32_t>(spans.size()) - first;
      for (int64_t i = 0; i < segment.query_count; i += most)
        tiles.push_back({segment.query_row + i,
                         static_cast<int32_t>(std::min(most, segment.query_count - i)),
                         static_cast<int32_t>(segment.position + i), first, count});
      query_rows = std::max(query_rows, segment.query_row + segment.query_count);
    }
  }
};

/// Whether attention of this type is the tensor cores'.
bool on_tensor_cores(RowType type, const AttentionShape& shape) {
  return type == RowType::kBF16 && shape.heads / shape.kv_heads <= kTensorRows;
}

/// Bytes of `rows` rows of packed keys, or of values.
int64_t packed_key_bytes(int64_t rows, const AttentionShape& shape) {
  return rows * shape.kv_heads * padded_head(static_cast<int>(shape.head_dim)) * 2;
}

/// Keys, or values, of an attention: float32, or packed for tensor cores.
struct Keys {
  const float* k = nullptr;
  const float* v = nullptr;
  const uint8_t* packed_k = nullptr;
  const uint8_t* packed_v = nullptr;
  int64_t rows = 0;
};

void attend(float* out, const float* q, const Keys& keys,
            const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
            Device& device) {
  const bool tensor = keys.packed_k != nullptr;
  const Segments told(segments, tensor ? kTensorRows / (shape.heads / shape.kv_heads) : kQueryTile);
  if (told.tiles.empty()) return;
  const int64_t D = shape.head_dim;
  device.begin_staging(2, static_cast<int64_t>(told.tiles.size() * sizeof(QueryTile) +
                                               told.spans.size() * sizeof(DeviceSpan)));
  const int64_t key_count = tensor ? 0 : keys.rows * shape.kv_heads * D;
  const int64_t packed_bytes = tensor ? packed_key_bytes(keys.rows, shape) : 0;
  AttentionArguments a;
  a.tiles = device.stage(told.tiles);
  a.spans = device.stage(told.spans);
  a.q = {q, told.query_rows * shape.heads * D};
  a.k = {keys.k, key_count};
  a.v = {keys.v, key_count};
  a.packed_k = {keys.packed_k, packed_bytes};
  a.packed_v = {keys.packed_v, packed_bytes};
  a.out = {out, told.query_rows * shape.heads * D};
  a.tile_count = static_cast<int32_t>(told.tiles.size());
  a.heads = static_cast<int32_t>(shape.heads);
  a.kv_heads = static_cast<int32_t>(shape.kv_heads);
  a.head_dim = static_cast<int32_t>(D);
  a.window = static_cast<int32_t>(shape.window);
  a.scale = shape.scale;
  if (tensor)
    queue_tensor_attention(a, device.stream());
  else
    queue_attention(a, device.stream());
}

void check_width(const AttentionShape& shape) {
  if (shape.head_dim > kWidestHead)
    throw Error(Code::kUnimplemented, "HEAD_TOO_WIDE", "config.headDim",
                "heads of " + std::to_string(shape.head_dim) +
                    " are too wide for the CUDA back end, which takes " +
                    std::to_string(kWidestHead) + "; use a unit of the processor");
}

/// Packs T rows of keys and values, to rows `to` if there are any.
void pack_keys(uint8_t* packed_k, uint8_t* packed_v, int64_t packed_row_count, const float* k,
               const float* v, int64_t T, const std::vector<int64_t>& to,
               const AttentionShape& shape, Device& device) {
  if (T == 0) return;
  device.begin_staging(1, static_cast<int64_t>(to.size() * sizeof(int64_t)));
  const int64_t count = T * shape.kv_heads * shape.head_dim;
  const int64_t bytes = packed_key_bytes(packed_row_count, shape);
  queue_pack_keys({{k, count},
                   {v, count},
                   device.stage(to),
                   {packed_k, bytes},
                   {packed_v, bytes},
                   T,
                   static_cast<int32_t>(shape.kv_heads),
                   static_cast<int32_t>(shape.head_dim)},
                  device.stream());
}

uint8_t* bytes_of(Buffer<float>& buffer) { return reinterpret_cast<uint8_t*>(buffer.data()); }
const uint8_t* bytes_of(const Buffer<float>& buffer) {
  return reinterpret_cast<const uint8_t*>(buffer.data());
}

}  // namespace

/// y[i] <- x[from[i]], or y[to[i]] <- x[i], rows of `width`; `x_rows` and `y_rows` are there.
void copy_rows(float* y, int64_t y_rows, const float* x, int64_t x_rows,
               const std::vector<int64_t>& from, const std::vector<int64_t>& to, int64_t width,
               ThreadPool& pool) {
  Device& device = device_of(pool);
  const auto T = static_cast<int64_t>(std::max(from.size(), to.size()));
  if (T == 0) return;
  device.begin_staging(2, T * static_cast<int64_t>(sizeof(int64_t)));
  queue_copy_rows(
      {{x, x_rows * width}, {y, y_rows * width}, device.stage(from), device.stage(to), T, width},
      device.stream());
}

void attention(float* out, const float* q, const float* k, const float* v, int64_t key_rows,
               const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
               RowType type, Scratch&, ThreadPool& pool) {
  Device& device = device_of(pool);
  check_width(shape);
  if (!on_tensor_cores(type, shape))
    return attend(out, q, {k, v, nullptr, nullptr, key_rows}, segments, shape, device);
  Buffer<uint8_t> packed_k, packed_v;
  packed_k.reserve(packed_key_bytes(key_rows, shape), device);
  packed_v.reserve(packed_key_bytes(key_rows, shape), device);
  pack_keys(packed_k.data(), packed_v.data(), key_rows, k, v, key_rows, {}, shape, device);
  attend(out, q, {nullptr, nullptr, packed_k.data(), packed_v.data(), key_rows}, segments, shape,
         device);
}

void reserve_key_values(KeyValues& store, int64_t rows, const AttentionShape& shape,
                        Memory& memory) {
  store.rows = rows;
  // Of either type; only very narrow heads take more when they are packed.
  const int64_t count =
      std::max(rows * shape.kv_heads * shape.head_dim, packed_key_bytes(rows, shape) / 4);
  store.keys.reserve(count, memory);
  store.values.reserve(count, memory);
}

void keep(KeyValues& store, const float* k, const float* v, const std::vector<KvSpan>& to,
          const AttentionShape& shape, RowType type, ThreadPool& pool) {
  std::vector<int64_t> targets;
  for (const KvSpan& span : to)
    for (int64_t i = 0; i < span.count; ++i) targets.push_back(span.row + i);
  const auto rows = static_cast<int64_t>(targets.size());
  if (on_tensor_cores(type, shape))
    return pack_keys(bytes_of(store.keys), bytes_of(store.values), store.rows, k, v, rows, targets,
                     shape, device_of(pool));
  const int64_t width = shape.kv_heads * shape.head_dim;
  copy_rows(store.keys.data(), store.rows, k, rows, {}, targets, width, pool);
  copy_rows(store.values.data(), store.rows, v, rows, {}, targets, width, pool);
}

void attention_over(float* out, const float* q, const KeyValues& kept,
                    const std::vector<AttentionSegment>& segments, const AttentionShape& shape,
                    RowType type, Scratch&, ThreadPool& pool) {
  check_width(shape);
  const Keys keys =
      on_tensor_cores(type, shape)
          ? Keys{nullptr, nullptr, bytes_of(kept.keys), bytes_of(kept.values), kept.rows}
          : Keys{kept.keys.data(), kept.values.data(), nullptr, nullptr, kept.rows};
  attend(out, q, keys, segments, shape, device_of(pool));
}

}  // namespace dmoerm::cuda
