// The op table on a GPU: what the host has to say is staged, then a kernel is queued.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention_ops.h"
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
  copy_rows(y, static_cast<int64_t>(from.size()), x, x_rows, from, {}, width, pool);
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
