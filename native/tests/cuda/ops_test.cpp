// Every op on the device against the CPU's plain loops, over random shapes, and its rows alone against the same rows in
// company. The device is an emulated one, or a GPU where this is built for one.

#include "dmoerm/ops.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <sstream>
#include <vector>

#include "attention_case.h"
#include "check.h"
#include "gpu.h"

namespace {

using namespace dmoerm;
using test::attention_data;
using test::AttentionCase;
using test::AttentionData;
using test::cpu_pool;
using test::gpu;
using test::random;
using test::require;
using test::require_all_close;
using test::require_same_bits;

constexpr double kF32 = 1e-5;
constexpr double kBf16 = 1e-2;

/// An MLP's or projection's product with everything in it.
struct ProductCase {
  int64_t M = 1, N = 1, K = 1;
  WeightType type = WeightType::kF32;
  bool gated = false, bias = false, accumulate = false, base = true, norm = false;
  std::vector<int64_t> ranks = {0};  ///< by group; 0: no adapter
  std::vector<int64_t> counts = {};  ///< rows by group; sums to M
};

/// Random inputs of a case, on the host.
struct ProductData {
  explicit ProductData(const ProductCase& c)
      : x(random(c.M * c.K, 1)), y(random(c.M * c.N, 2)), norm(random(c.K, 3)) {
    for (uint32_t s = 0; s < 2; ++s) {
      w[s] = random(c.N * c.K, 10 + s, 0.3f);
      bias[s] = random(c.N, 20 + s);
      for (uint32_t g = 0; g < c.ranks.size(); ++g)
        b[s].push_back(random(c.N * c.ranks[g], 30 + 2 * g + s, 0.3f));
    }
  }
  std::vector<float> x, y, norm, w[2], bias[2];
  std::vector<std::vector<float>> b[2];
};

/// y of a case. `upload` brings a vector to where the ops read it, `download` brings it back.
std::vector<float> multiply(
    const ProductCase& c, const ProductData& data, const Ops& ops, ThreadPool& pool,
    Scratch& scratch, const std::function<Buffer<float>(const std::vector<float>&)>& upload,
    const std::function<std::vector<float>(const Buffer<float>&, int64_t)>& download,
    int64_t only_row = -1) {
  const int sides = c.gated ? 2 : 1;
  const WeightType lora = c.type == WeightType::kInt8 ? WeightType::kBF16 : c.type;
  std::vector<RowGroup> groups;
  int64_t begin = 0;
  for (const int64_t count : c.counts) {
    groups.push_back({begin, count});
    begin += count;
  }
  if (only_row >= 0)
    for (RowGroup& group : groups) {
      const bool here = only_row >= group.begin && only_row < group.begin + group.count;
      group = {here ? only_row : 0, here ? 1 : 0};
    }
  const auto align = [&](int64_t rank) {
    return (rank + ops.lora_align - 1) / ops.lora_align * ops.lora_align;
  };
  std::vector<Matrix> downs(groups.size());
  std::vector<const Matrix*> down(groups.size(), nullptr);
  std::vector<Matrix> up_matrices[2];
  std::vector<LoraUp> ups[2];
  for (int s = 0; s < 2; ++s) {
    up_matrices[s].resize(groups.size());
    ups[s].resize(groups.size());
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    const int64_t rank = c.ranks[g];
    if (rank == 0) continue;
    // Each side's part of the down matrix is padded with zero rows to where the next begins.
    std::vector<float> a(sides * align(rank) * c.K, 0.0f);
    for (int s = 0; s < sides; ++s) {
      const std::vector<float> part =
          random(rank * c.K, 50 + static_cast<uint32_t>(2 * g + s), 0.3f);
      std::copy(part.begin(), part.end(), a.begin() + s * align(rank) * c.K);
      ops.pack_matrix(up_matrices[s][g], data.b[s][g].data(), c.N, rank, lora, pool);
      ups[s][g] = {&up_matrices[s][g], s * align(rank)};
    }
    ops.pack_matrix(downs[g], a.data(), sides * align(rank), c.K, lora, pool);
    down[g] = &downs[g];
  }
  const std::vector<Panel> panels = panels_of(groups, ops.panel_rows);
  const auto end = static_cast<int64_t>(panels.size());
  const Buffer<float> x = upload(data.x), norm = upload(data.norm);
  const Buffer<float> bias[2] = {upload(data.bias[0]), upload(data.bias[1])};
  Buffer<float> y = upload(data.y);
  PackedRows rows, lora_rows, u, h;
  const RmsNorm normed{c.norm ? norm.data() : nullptr, 1e-5f};
  ops.pack_rows(rows, ops.row_type(c.type), x.data(), c.K, panels, 0, end, normed, scratch, pool);
  ops.pack_rows(lora_rows, ops.row_type(lora), x.data(), c.K, panels, 0, end, normed, scratch,
                pool);
  const bool adapted = std::any_of(c.ranks.begin(), c.ranks.end(), [](int64_t r) { return r > 0; });
  if (adapted) ops.lora_down(u, lora_rows, panels, 0, end, down, pool);
  Matrix w[2];
  Product products[2];
  for (int s = 0; s < sides; ++s) {
    ops.pack_matrix(w[s], data.w[s].data(), c.N, c.K, c.type, pool);
    products[s] = {&panels,
                   0,
                   end,
                   c.base ? &rows : nullptr,
                   c.base ? &w[s] : nullptr,
                   c.bias ? bias[s].data() : nullptr,
                   c.N,
                   adapted ? &u : nullptr,
                   adapted ? &ups[s] : nullptr};
  }
  if (!c.gated) {
    ops.linear(y.data(), products[0], c.accumulate, scratch, pool);
    return download(y, c.M * c.N);
  }
  if (c.type == WeightType::kInt8) {  // whose rows are packed when they are whole
    ops.gated(h, ops.row_type(c.type), y.data() + panels[0].row * c.N, products[0], products[1],
              scratch, pool);
    return download(y, c.M * c.N);
  }
  // Packed, and read back by a product with the identity.
  ops.gated(h, ops.row_type(c.type), nullptr, products[0], products[1], scratch, pool);
  std::vector<float> eye(c.N * c.N, 0.0f);
  for (int64_t n = 0; n < c.N; ++n) eye[n * c.N + n] = 1.0f;
  Matrix identity;
  ops.pack_matrix(identity, eye.data(), c.N, c.N, c.type, pool);
  ops.linear(y.data(), {&panels, 0, end, &h, &identity, nullptr, c.N, nullptr, nullptr}, false,
             scratch, pool);
  const std::vector<float> through = download(y, c.M * c.N);
  if (only_row >= 0) return through;
  Buffer<float> direct = upload(data.y);
  ops.gated(h, ops.row_type(c.type), direct.data(), products[0], products[1], scratch, pool);
  require_all_close(download(direct, c.M * c.N), through,
                    c.type == WeightType::kF32 ? kF32 : kBf16);
  return through;
}

std::vector<float> on_gpu(const ProductCase& c, const ProductData& data, int64_t only_row = -1) {
  return multiply(
      c, data, gpu().ops, gpu().pool, gpu().scratch,
      [](const std::vector<float>& values) { return gpu().upload(values); },
      [](const Buffer<float>& from, int64_t count) { return gpu().download(from, count); },
      only_row);
}

std::vector<float> on_cpu(const ProductCase& c, const ProductData& data) {
  Scratch scratch;
  return multiply(
      c, data, reference_ops(), cpu_pool(), scratch,
      [](const std::vector<float>& values) {
        Buffer<float> copy(static_cast<int64_t>(values.size()));
        std::copy(values.begin(), values.end(), copy.data());
        return copy;
      },
      [](const Buffer<float>& from, int64_t count) {
        return std::vector<float>(from.data(), from.data() + count);
      });
}

void product_matches(const ProductCase& c) {
  const ProductData data(c);
  require_all_close(on_gpu(c, data), on_cpu(c, data), c.type == WeightType::kF32 ? kF32 : kBf16);
}

void product_rows_alone(const ProductCase& c, int64_t every = 17) {
  const ProductData data(c);
  const std::vector<float> all = on_gpu(c, data);
  for (int64_t m = 0; m < c.M; m += every) {
    const std::vector<float> alone = on_gpu(c, data, m);
    require_same_bits(alone.data() + m * c.N, all.data() + m * c.N, c.N,
                      "row " + std::to_string(m) + " changed in company");
  }
}

std::string name_of(const ProductCase& c) {
  std::ostringstream name;
  const char* type = c.type == WeightType::kF32    ? "f32 "
                     : c.type == WeightType::kBF16 ? "bf16 "
                                                   : "int8 ";
  name << type << (c.gated ? "gated " : "linear ") << c.M << 'x' << c.N << 'x' << c.K
       << (c.base ? "" : " low-rank alone") << " ranks";
  for (const int64_t rank : c.ranks) name << ' ' << rank;
  return name.str();
}

void test_products() {
  std::mt19937 generator(7);
  const auto up_to = [&](int64_t most) { return static_cast<int64_t>(generator() % most) + 1; };
  for (const WeightType type : {WeightType::kF32, WeightType::kBF16, WeightType::kInt8})
    for (int i = 0; i < 14; ++i) {
      ProductCase c;
      c.type = type;
      c.N = up_to(i % 5 == 0 ? 300 : 90);
      c.K = up_to(i % 3 == 0 ? 300 : 80);
      c.gated = i % 2 == 1;
      c.bias = generator() % 2 == 0;
      c.accumulate = !c.gated && generator() % 2 == 0;
      c.norm = generator() % 2 == 0;
      c.ranks.clear();
      c.M = 0;
      for (int64_t g = up_to(3); g > 0; --g) {
        c.ranks.push_back(generator() % 3 == 0 ? 0 : up_to(40));
        c.counts.push_back(up_to(i % 4 == 0 ? 140 : 40));
        c.M += c.counts.back();
      }
      if (i == 4) {
        c.base = false;
        c.accumulate = true;
        c.bias = false;
        c.ranks[0] = 8;
      }
      test::test(name_of(c), [&] { product_matches(c); });
    }
  // Every width of Hopper's tiles, more of them than there are stages; groups whose panels do not make pairs.
  for (const bool gated : {false, true})
    for (const int64_t N : {50, 128, 256}) {
      const ProductCase c{205,    N,    650,   WeightType::kBF16, gated,       true,
                          !gated, true, false, {40, 0, 70},       {130, 3, 72}};
      test::test(name_of(c) + ", many tiles", [&] { product_matches(c); });
    }
  for (const WeightType type : {WeightType::kF32, WeightType::kBF16, WeightType::kInt8})
    for (const bool gated : {false, true}) {
      const ProductCase c{70,    50,   90,    type,       gated,      true,
                          false, true, false, {5, 0, 17}, {40, 3, 27}};
      test::test(name_of(c) + ", rows alone", [&] { product_rows_alone(c); });
    }
#ifndef DMOERM_CUDA_EMULATED
  // So many rows that they have wide tiles where a row alone has narrow ones.
  for (const bool gated : {false, true}) {
    const ProductCase c{6200, 1000,  904,         WeightType::kBF16, gated, true, false,
                        true, false, {40, 0, 70}, {4000, 100, 2100}};
    test::test(name_of(c) + ", rows alone", [&] { product_rows_alone(c, 1511); });
  }
#endif
}

// ---- attention ----

std::vector<float> attend(const AttentionCase& c, const AttentionData& data, RowType type) {
  const Buffer<float> q = gpu().upload(data.q), k = gpu().upload(data.k), v = gpu().upload(data.v);
  Buffer<float> out = gpu().upload(std::vector<float>(data.q.size()));
  gpu().ops.attention(out.data(), q.data(), k.data(), v.data(), data.rows, data.segments, c.shape,
                      type, gpu().scratch, gpu().pool);
  return gpu().download(out, static_cast<int64_t>(data.q.size()));
}

void attention_matches(const AttentionCase& c, RowType type) {
  const AttentionData data = attention_data(c);
  std::vector<float> want(data.q.size());
  Scratch scratch;
  reference_ops().attention(want.data(), data.q.data(), data.k.data(), data.v.data(), data.rows,
                            data.segments, c.shape, type, scratch, cpu_pool());
  require_all_close(attend(c, data, type), want, type == RowType::kF32 ? kF32 : kBf16);
}

/// Candidates with a prompt of their own in front, and with kept keys and values, have the same bits.
void sharing_changes_no_bit(const AttentionCase& c, RowType type) {
  const AttentionData data = attention_data(c);
  const std::vector<float> shared = attend(c, data, type);
  const int64_t query = c.shape.heads * c.shape.head_dim;
  for (const AttentionSegment& segment : data.segments) {
    if (segment.position == 0) continue;
    const AttentionData alone = test::with_own_prompt(c, data, segment, false);
    const std::vector<float> out = attend(c, alone, type);
    require_same_bits(out.data() + c.prompt * query, shared.data() + segment.query_row * query,
                      segment.query_count * query, "a candidate changed with a shared prompt");
  }
  // Kept two rows further on.
  KeyValues kept;
  gpu().ops.reserve_key_values(kept, data.rows + 2, c.shape, *gpu().memory);
  const Buffer<float> q = gpu().upload(data.q), k = gpu().upload(data.k), v = gpu().upload(data.v);
  gpu().ops.keep(kept, k.data(), v.data(), {{2, data.rows}}, c.shape, type, gpu().pool);
  std::vector<AttentionSegment> moved = data.segments;
  for (AttentionSegment& segment : moved)
    for (KvSpan& span : segment.spans) span.row += 2;
  Buffer<float> out = gpu().upload(std::vector<float>(data.q.size()));
  gpu().ops.attention_over(out.data(), q.data(), kept, moved, c.shape, type, gpu().scratch,
                           gpu().pool);
  require_same_bits(gpu().download(out, static_cast<int64_t>(data.q.size())).data(), shared.data(),
                    static_cast<int64_t>(data.q.size()), "kept keys and values changed a result");
}

void nan_stays_with_its_node() {
  const AttentionCase c{{4, 2, 16, 0.25f, 0}, 33, {5, 40}};
  AttentionData data = attention_data(c);
  const int64_t first = data.segments[2].query_row;
  data.k[first * 32] = NAN;
  data.v[first * 32 + 1] = NAN;
  for (const RowType type : {RowType::kF32, RowType::kBF16}) {
    const std::vector<float> out = attend(c, data, type);
    require(std::isnan(out[first * 64]) && std::isnan(out[first * 64 + 1]),
            "the NaN was swallowed");
    for (int64_t i = 0; i < first * 64; ++i) require(std::isfinite(out[i]), "the NaN spread");
  }
}

void test_attention() {
  const std::vector<AttentionCase> cases{
      {{2, 1, 160, 0.08f, 0}, 9, {20, 3}},    {{4, 2, 8, 0.35f, 0}, 1, {1}},
      {{4, 4, 16, 0.25f, 0}, 33, {5, 40, 1}}, {{6, 2, 12, 0.3f, 0}, 50, {17, 64}},
      {{3, 3, 64, 0.125f, 0}, 70, {31}},      {{4, 1, 20, 0.2f, 0}, 0, {70, 2}},
      {{4, 2, 8, 0.35f, 7}, 40, {30, 1}},     {{2, 2, 80, 0.1f, 64}, 110, {20}},
      {{2, 1, 128, 0.09f, 0}, 40, {20, 9}},   {{1, 1, 256, 0.06f, 0}, 20, {20, 9}},
  };
  for (size_t i = 0; i < cases.size(); ++i)
    for (const RowType type : {RowType::kF32, RowType::kBF16}) {
      std::string name = type == RowType::kF32 ? "f32" : "bf16";
      name += " attention case ";
      name += std::to_string(i);
      test::test(name, [&] { attention_matches(cases[i], type); });
      test::test(name + ", shared and kept", [&] { sharing_changes_no_bit(cases[i], type); });
    }
  test::test("a NaN key or value reaches its own node's output and no other",
             nan_stays_with_its_node);
}

// ---- rows ----

void rms_norm_matches(int64_t T, int64_t C) {
  const std::vector<float> x = random(T * C, 10), weight = random(C, 11);
  std::vector<float> want(T * C);
  reference_ops().rms_norm(want.data(), x.data(), weight.data(), T, C, 1e-5f, cpu_pool());
  Buffer<float> on_device = gpu().upload(x);
  const Buffer<float> weights = gpu().upload(weight);
  gpu().ops.rms_norm(on_device.data(), on_device.data(), weights.data(), T, C, 1e-5f, gpu().pool);
  require_all_close(gpu().download(on_device, T * C), want, kF32);
}

void rope_matches() {
  const int64_t T = 9, H = 3, D = 10;
  const std::vector<float> cosines = random(50 * D / 2, 12), sines = random(50 * D / 2, 13);
  const std::vector<int32_t> positions{0, 3, 1, 49, 7, 7, 20, 21, 22};
  std::vector<float> want = random(T * H * D, 14);
  Buffer<float> x = gpu().upload(want);
  const Buffer<float> c = gpu().upload(cosines), s = gpu().upload(sines);
  gpu().ops.rope(x.data(), positions.data(), c.data(), s.data(), T, H, D, gpu().pool);
  reference_ops().rope(want.data(), positions.data(), cosines.data(), sines.data(), T, H, D,
                       cpu_pool());
  require_all_close(gpu().download(x, T * H * D), want, kF32);
}

void softmax_matches(int64_t N) {
  std::vector<float> x = random(3 * N, 15), want(3 * N);
  for (float& value : x) value *= 20;
  reference_ops().softmax_terms(want.data(), x.data(), 3, N, 0.5f, cpu_pool());
  const Buffer<float> from = gpu().upload(x);
  Buffer<float> to = gpu().upload(std::vector<float>(x.size()));
  gpu().ops.softmax_terms(to.data(), from.data(), 3, N, 0.5f, gpu().pool);
  require_all_close(gpu().download(to, 3 * N), want, kF32);
}

void copies_match() {
  const std::vector<float> table = random(20 * 13, 16);
  const std::vector<int32_t> tokens{3, 0, 19, 3, 7};
  for (const TensorType type : {TensorType::kF32, TensorType::kBF16}) {
    std::vector<uint8_t> bytes(table.size() * (type == TensorType::kF32 ? 4 : 2));
    for (size_t i = 0; i < table.size(); ++i) {
      const auto* value = reinterpret_cast<const uint8_t*>(&table[i]);
      if (type == TensorType::kF32)
        std::copy_n(value, 4, &bytes[4 * i]);
      else
        std::copy_n(value + 2, 2, &bytes[2 * i]);
    }
    std::vector<float> want(tokens.size() * 13);
    reference_ops().embed(want.data(), bytes.data(), type, tokens.data(), 5, 13, cpu_pool());
    Buffer<uint8_t> there;
    there.reserve(static_cast<int64_t>(bytes.size()), *gpu().memory);
    gpu().memory->write(there.data(), bytes.data(), static_cast<int64_t>(bytes.size()));
    Buffer<float> out = gpu().upload(std::vector<float>(want.size()));
    gpu().ops.embed(out.data(), there.data(), type, tokens.data(), 5, 13, gpu().pool);
    require_same_bits(gpu().download(out, 65).data(), want.data(), 65, "embed");
  }
  const std::vector<int64_t> from{4, 4, 0, 17};
  std::vector<float> want(4 * 13);
  reference_ops().gather(want.data(), table.data(), from, 13, cpu_pool());
  const Buffer<float> x = gpu().upload(table);
  Buffer<float> y = gpu().upload(std::vector<float>(want.size()));
  gpu().ops.gather(y.data(), x.data(), from, 13, gpu().pool);
  require_same_bits(gpu().download(y, 52).data(), want.data(), 52, "gather");
}

}  // namespace

int main(int argc, char** argv) {
  if (cuda::find_ops() == nullptr) {
    std::printf("no GPU: not run (%s)\n", cuda::describe().c_str());
    return EXIT_SUCCESS;
  }
  test_products();
  test_attention();
  for (const int64_t C : {1, 7, 16, 64, 100, 333})
    test::test("rms_norm " + std::to_string(C), [&] { rms_norm_matches(37, C); });
  test::test("rope", rope_matches);
  for (const int64_t N : {1, 7, 33, 1000})
    test::test("softmax_terms " + std::to_string(N), [&] { softmax_matches(N); });
  test::test("embed and gather", copies_match);
  if (argc > 1 && std::string(argv[1]) == "--launches") test::print_launches();
  return test::finish();
}
