// The op table on a GPU: what the host has to say is staged, then a kernel is queued.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backend.h"
#include "cpu/units.h"
#include "device.h"
#include "dmoerm/error.h"
#include "kernels.h"

namespace dmoerm::cuda {
namespace {

constexpr int64_t kLoraAlign = 32;  // a step of bfloat16, two of float32

Element element_of(RowType type) {
  return type == RowType::kInt8   ? Element::kInt8
         : type == RowType::kBF16 ? Element::kBF16
                                  : Element::kF32;
}

RowType row_type(WeightType type) {
  return type == WeightType::kInt8   ? RowType::kInt8
         : type == WeightType::kBF16 ? RowType::kBF16
                                     : RowType::kF32;
}

Element element_of(WeightType type) { return element_of(row_type(type)); }

int64_t row_bytes(Element element, int64_t K) {
  const int64_t bytes = K * element_bytes(element);
  return (bytes + kTileBytes - 1) / kTileBytes * kTileBytes;
}

/// Rows, and of 8 bits their scales behind them.
int64_t matrix_bytes(WeightType type, int64_t N, int64_t K) {
  const Element element = element_of(type);
  return packed_rows(N) * row_bytes(element, K) + (element == Element::kInt8 ? N * 4 : 0);
}

/// Nearest bfloat16, ties to even.
uint16_t rounded(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (value != value) return 0x7fff;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// A row of weights in 8 bits, rotated; returns its scale, which takes the rotation's length back.
float pack_int8(uint8_t* to, const float* weight, int64_t K) {
  std::vector<float> row(weight, weight + K);
  cpu::rotate(row.data(), K);
  float largest = 0;
  for (const float value : row) largest = std::max(largest, std::abs(value));
  const float scale = largest / 127.0f;
  for (int64_t k = 0; k < K; ++k)
    to[k] = static_cast<uint8_t>(
        static_cast<int8_t>(scale > 0 ? std::nearbyint(row[k] * (1.0f / scale)) : 0));
  return scale / static_cast<float>(cpu::rotation_block(K));
}

void pack_matrix(Matrix& out, const float* weight, int64_t N, int64_t K, WeightType type,
                 ThreadPool& pool) {
  const Element element = element_of(type);
  const int64_t bytes = row_bytes(element, K), together = packed_rows(N);
  std::vector<uint8_t> packed(matrix_bytes(type, N, K), 0);
  pool.run(N, [&](int64_t n, int) {
    std::vector<uint8_t> whole(bytes, 0);
    uint8_t* row = whole.data();
    const float* from = weight + n * K;
    if (element == Element::kF32) {
      std::memcpy(row, from, static_cast<size_t>(K) * 4);
    } else if (element == Element::kInt8) {
      const float scale = pack_int8(row, from, K);
      std::memcpy(packed.data() + together * bytes + n * 4, &scale, 4);
    } else {
      for (int64_t k = 0; k < K; ++k) {
        const uint16_t value = rounded(from[k]);
        std::memcpy(row + 2 * k, &value, 2);
      }
    }
    for (int64_t at = 0; at < bytes; at += 16)
      std::memcpy(packed.data() + packed_at(together, n, at), row + at, 16);
  });
  out.type = type;
  out.N = N;
  out.K = K;
  out.bytes = static_cast<int64_t>(packed.size());
  out.owned.reserve(out.bytes, pool.memory());
  out.data = out.owned.data();
  pool.memory().write(out.owned.data(), packed.data(), out.bytes);
}

DeviceMatrix matrix(const Matrix* from) {
  if (from == nullptr) return {};
  const Element element = element_of(from->type);
  const int64_t all = packed_rows(from->N) * row_bytes(element, from->K);
  const int64_t bytes = from->K * element_bytes(element);
  Global<const float> scales;
  if (element == Element::kInt8)
    scales = {reinterpret_cast<const float*>(from->data + all), from->N};
  return {{from->data, all},
          static_cast<int32_t>(from->N),
          static_cast<int32_t>((bytes + kStepBytes - 1) / kStepBytes),
          scales};
}

/// Packed rows as kernels read them, if there are any.
DeviceRows rows(const PackedRows* from) {
  if (from == nullptr) return {};
  return {{from->data.data(), from->data.capacity()},
          row_bytes(element_of(from->type), from->K),
          static_cast<int32_t>(from->first),
          {from->scales.data(), from->scales.capacity()}};
}

/// Panels [begin, end), and the rows that they cover.
struct Panels {
  std::vector<DevicePanel> panels;
  std::vector<DevicePair> pairs;
  int64_t rows = 0;  ///< after the last

  Panels(const std::vector<Panel>& from, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Panel& panel = from[i];
      panels.push_back({static_cast<int32_t>(panel.row), static_cast<int32_t>(panel.count),
                        static_cast<int32_t>(panel.group), static_cast<int32_t>(panel.source)});
      rows = std::max(rows, panel.row + panel.count);
      const auto at = static_cast<int32_t>(i - begin);
      if (at > 0 && pairs.back().count == 1 && panels[at - 1].group == panels[at].group)
        pairs.back().count = 2;
      else
        pairs.push_back({at, 1});
    }
  }

  int64_t bytes() const {
    return static_cast<int64_t>(panels.size() * sizeof(DevicePanel) +
                                pairs.size() * sizeof(DevicePair));
  }
};

/// Room for packed rows of K elements in panels [begin, end).
void reserve_rows(PackedRows& out, RowType type, int64_t K, int64_t begin, int64_t end,
                  Memory& memory) {
  out.type = type;
  out.K = K;
  out.first = begin;
  const int64_t rows = (end - begin) * kPanelRows;
  out.data.reserve(rows * row_bytes(element_of(type), K), memory);
  if (type == RowType::kInt8) out.scales.reserve(rows, memory);
}

Global<uint8_t> packed(PackedRows& out, int64_t begin, int64_t end) {
  return {out.data.data(), (end - begin) * kPanelRows * row_bytes(element_of(out.type), out.K)};
}

void pack_rows(PackedRows& out, RowType type, const float* x, int64_t K,
               const std::vector<Panel>& panels, int64_t begin, int64_t end, const RmsNorm& norm,
               Scratch&, ThreadPool& pool) {
  Device& device = device_of(pool);
  reserve_rows(out, type, K, begin, end, device);
  if (begin == end) return;
  const Panels told(panels, begin, end);
  constexpr auto kSignBytes = static_cast<int64_t>(kMostRotated * sizeof(float));
  device.begin_staging(2, told.bytes() + kSignBytes);
  NormArguments a;
  a.x = {x, told.rows * K};
  a.T = told.rows;
  a.C = K;
  a.weight = {norm.weight, norm.weight == nullptr ? 0 : K};
  a.eps = norm.eps;
  a.panels = device.stage(told.panels);
  a.packed = packed(out, begin, end);
  a.packed_row_bytes = row_bytes(element_of(type), K);
  if (type == RowType::kInt8) {
    a.signs = device.stage(cpu::rotation_signs(), kMostRotated);
    a.rotated = static_cast<int32_t>(cpu::rotation_block(K));
    a.scales = {out.scales.data(), out.scales.capacity()};
  }
  queue_pack_rows(element_of(type), a, device.stream());
}

std::vector<DeviceUp> ups(const Product& p) {
  std::vector<DeviceUp> all;
  if (p.lora == nullptr || p.u == nullptr) return all;
  const int64_t bytes = element_bytes(element_of(p.u->type));
  for (const LoraUp& up : *p.lora) {
    all.push_back({matrix(up.b), static_cast<int32_t>(up.offset * bytes)});
  }
  return all;
}

Element element_of(const Product& p) { return element_of((p.x != nullptr ? p.x : p.u)->type); }

/// What a product's kernel is told.
ProductArguments product(Device& device, const std::vector<const Product*>& sides,
                         const Panels& told) {
  const Product& p = *sides[0];
  std::vector<std::vector<DeviceUp>> lora;
  int64_t bytes = told.bytes();
  for (const Product* side : sides) {
    lora.push_back(ups(*side));
    bytes += static_cast<int64_t>(lora.back().size() * sizeof(DeviceUp));
  }
  device.begin_staging(2 + static_cast<int64_t>(sides.size()), bytes);
  ProductArguments a;
  a.panels = device.stage(told.panels);
  a.pairs = device.stage(told.pairs);
  a.first_panel = static_cast<int32_t>(p.begin);
  a.N = p.N;
  a.x = rows(p.x);
  a.u = rows(p.u);
  for (size_t s = 0; s < sides.size(); ++s)
    a.side[s] = {matrix(sides[s]->w),
                 {sides[s]->bias, sides[s]->bias == nullptr ? 0 : p.N},
                 device.stage(lora[s])};
  return a;
}

void linear(float* y, const Product& p, bool accumulate, Scratch&, ThreadPool& pool) {
  if (p.begin == p.end) return;
  Device& device = device_of(pool);
  const Panels told(*p.panels, p.begin, p.end);
  ProductArguments a = product(device, {&p}, told);
  a.y = {y, told.rows * p.N};
  a.accumulate = accumulate;
  queue_linear(element_of(p), a, device.stream());
}

void gated(PackedRows& out, RowType type, float* y, const Product& gate, const Product& up,
           Scratch&, ThreadPool& pool) {
  Device& device = device_of(pool);
  if (y == nullptr) reserve_rows(out, type, gate.N, gate.begin, gate.end, device);
  if (gate.begin == gate.end) return;
  const Panels told(*gate.panels, gate.begin, gate.end);
  ProductArguments a = product(device, {&gate, &up}, told);
  a.zeros = device.zeros();
  if (y == nullptr) {
    a.packed = packed(out, gate.begin, gate.end);
    a.packed_row_bytes = row_bytes(element_of(type), gate.N);
  } else {
    a.first_row = (*gate.panels)[gate.begin].row;
    a.y = {y, (told.rows - a.first_row) * gate.N};
  }
  queue_gated(element_of(gate), a, device.stream());
}

void lora_down(PackedRows& u, const PackedRows& x, const std::vector<Panel>& panels, int64_t begin,
               int64_t end, const std::vector<const Matrix*>& a, ThreadPool& pool) {
  Device& device = device_of(pool);
  int64_t widest = 0;
  std::vector<DeviceMatrix> by_group;
  for (const Matrix* one : a) {
    by_group.push_back(matrix(one));
    if (one != nullptr) widest = std::max(widest, one->N);
  }
  reserve_rows(u, x.type, widest, begin, end, device);
  if (begin == end || widest == 0) return;
  const Panels told(panels, begin, end);
  device.begin_staging(2,
                       told.bytes() + static_cast<int64_t>(by_group.size() * sizeof(DeviceMatrix)));
  ProductArguments arguments;
  arguments.panels = device.stage(told.panels);
  arguments.first_panel = static_cast<int32_t>(begin);
  arguments.by_group = device.stage(by_group);
  arguments.x = rows(&x);
  arguments.packed = packed(u, begin, end);
  arguments.packed_row_bytes = row_bytes(element_of(x.type), widest);
  queue_lora_down(element_of(x.type), arguments, device.stream());
}

void rms_norm(float* y, const float* x, const float* weight, int64_t T, int64_t C, float eps,
              ThreadPool& pool) {
  if (T == 0) return;
  NormArguments a;
  a.x = {x, T * C};
  a.T = T;
  a.C = C;
  a.weight = {weight, C};
  a.eps = eps;
  a.y = {y, T * C};
  queue_rms_norm(a, device_of(pool).stream());
}

void rope(float* x, const int32_t* positions, const float* cosines, const float* sines, int64_t T,
          int64_t heads, int64_t head_dim, ThreadPool& pool) {
  if (T == 0) return;
  Device& device = device_of(pool);
  device.begin_staging(1, T * static_cast<int64_t>(sizeof(int32_t)));
  const int64_t angles = (*std::max_element(positions, positions + T) + 1) * (head_dim / 2);
  queue_rope({{x, T * heads * head_dim},
              device.stage(positions, T),
              {cosines, angles},
              {sines, angles},
              T,
              static_cast<int32_t>(heads),
              static_cast<int32_t>(head_dim)},
             device.stream());
}

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

/// y[i] <- x[from[i]], or y[to[i]] <- x[i], rows of `width`; `x_rows` and `y_rows` are there.
void copy(float* y, int64_t y_rows, const float* x, int64_t x_rows,
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

void reserve_key_values(KeyValues& store, int64_t rows, const AttentionShape& shape,
                        Memory& memory) {
  store.rows = rows;
  // Of either type; only very narrow heads take more when they are packed.
  const int64_t count =
      std::max(rows * shape.kv_heads * shape.head_dim, packed_key_bytes(rows, shape) / 4);
  store.keys.reserve(count, memory);
  store.values.reserve(count, memory);
}

uint8_t* bytes_of(Buffer<float>& buffer) { return reinterpret_cast<uint8_t*>(buffer.data()); }
const uint8_t* bytes_of(const Buffer<float>& buffer) {
  return reinterpret_cast<const uint8_t*>(buffer.data());
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
  copy(store.keys.data(), store.rows, k, rows, {}, targets, width, pool);
  copy(store.values.data(), store.rows, v, rows, {}, targets, width, pool);
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

void embed(float* out, const uint8_t* table, TensorType type, const int32_t* tokens, int64_t T,
           int64_t C, ThreadPool& pool) {
  if (T == 0) return;
  Device& device = device_of(pool);
  const Element element = type == TensorType::kBF16 ? Element::kBF16 : Element::kF32;
  const int64_t rows = *std::max_element(tokens, tokens + T) + 1;
  device.begin_staging(1, T * static_cast<int64_t>(sizeof(int32_t)));
  queue_embed(element,
              {{table, rows * C * (element == Element::kBF16 ? 2 : 4)},
               device.stage(tokens, T),
               {out, T * C},
               T,
               C},
              device.stream());
}

void gather(float* y, const float* x, const std::vector<int64_t>& from, int64_t width,
            ThreadPool& pool) {
  if (from.empty()) return;
  const int64_t x_rows = *std::max_element(from.begin(), from.end()) + 1;
  copy(y, static_cast<int64_t>(from.size()), x, x_rows, from, {}, width, pool);
}

void softmax_terms(float* out, const float* x, int64_t T, int64_t N, float scale,
                   ThreadPool& pool) {
  if (T == 0) return;
  queue_softmax_terms({{x, T * N}, {out, T * N}, T, N, scale}, device_of(pool).stream());
}

}  // namespace

namespace {

/// bfloat16 on tensor cores and asynchronous copies came with Ampere.
constexpr int kOldestMajor = 8;

}  // namespace

const Ops* find_ops() {
  static const Ops ops{"cuda",
                       [] { return std::unique_ptr<Memory>(std::make_unique<Device>()); },
                       kPanelRows,
                       kLoraAlign,
                       row_type,
                       matrix_bytes,
                       pack_matrix,
                       pack_rows,
                       linear,
                       gated,
                       lora_down,
                       rms_norm,
                       rope,
                       attention,
                       reserve_key_values,
                       keep,
                       attention_over,
                       embed,
                       gather,
                       softmax_terms};
  const bool there = runtime::device_count() > 0 && runtime::properties().major >= kOldestMajor;
  return there ? &ops : nullptr;
}

std::string describe() {
  if (runtime::device_count() == 0) return "this machine has no CUDA device, or no driver for it";
  const runtime::Properties gpu = runtime::properties();
  if (gpu.major >= kOldestMajor) return gpu.name;
  return "the GPU " + gpu.name + " has compute capability " + std::to_string(gpu.major) + "." +
         std::to_string(gpu.minor) + ", 8.0 is needed";
}

}  // namespace dmoerm::cuda
