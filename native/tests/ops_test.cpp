// Every unit of this machine, and those that can be emulated on it, against naive loops in double, and every unit's
// rows alone against the same rows in company.

#include "dmoerm/ops.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <vector>

#include "attention_case.h"
#include "check.h"
#include "cpu/units.h"
#include "emulated/amx.h"
#include "emulated/traps.h"

namespace {

using namespace dmoerm;
using test::attention_data;
using test::AttentionCase;
using test::AttentionData;
using test::random;
using test::require;
using test::require_close;

/// Tolerances relative to the largest reference value; rounding of sums of up to a few hundred
/// float32 products.
constexpr double kTolerance = 2e-6;
constexpr double kExpTolerance = 2e-6;
/// A value rounded to bfloat16 on its way.
constexpr double kBf16Tolerance = 5e-3;

double largest(const std::vector<double>& values) {
  double most = 1e-30;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

void require_all_close(const std::vector<float>& got, const std::vector<double>& want,
                       double tolerance) {
  const double scale = largest(want);
  for (size_t i = 0; i < want.size(); ++i)
    require_close(got[i], want[i], scale, tolerance, "element " + std::to_string(i));
}

void require_same_bits(const float* a, const float* b, int64_t count, const std::string& what) {
  require(std::memcmp(a, b, static_cast<size_t>(count) * sizeof(float)) == 0, what);
}

/// Makes values ones that bfloat16 holds, so that rounding changes nothing.
void make_exact(std::vector<float>& values) {
  for (float& value : values) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits &= 0xffff0000u;
    std::memcpy(&value, &bits, 4);
  }
}

/// The type that LoRA has beside a base of `type`.
WeightType lora_type(WeightType type) {
  return type == WeightType::kF32 ? WeightType::kF32 : WeightType::kBF16;
}

/// What `test_product` multiplies.
struct Case {
  int64_t M, N, K;
  WeightType type;
  bool bias = false;
  bool accumulate = false;
  /// LoRA rank by group of rows; 0: none.
  std::vector<int64_t> ranks = {};
  TensorType stored = TensorType::kF32;
  int64_t head = 0;
};

/// Bytes of a stored matrix whose elements are exactly w.
std::vector<uint8_t> stored_bytes(const std::vector<float>& w, TensorType type) {
  if (type == TensorType::kF32) {
    std::vector<uint8_t> bytes(w.size() * 4);
    std::memcpy(bytes.data(), w.data(), bytes.size());
    return bytes;
  }
  std::vector<uint8_t> bytes;  // Q8_0: f16 scale of 1/16, 32 signed bytes
  for (size_t i = 0; i < w.size(); i += 32) {
    bytes.push_back(0x00);
    bytes.push_back(0x2c);
    for (size_t j = 0; j < 32; ++j)
      bytes.push_back(static_cast<uint8_t>(static_cast<int8_t>(std::lround(w[i + j] * 16))));
  }
  return bytes;
}

/// A product with everything in it, and its value in double from the same rounded factors.
struct Multiplied {
  std::vector<float> y;
  std::vector<double> want;
};

/// Rows as an 8-bit product sees them: rotated, then rounded with a scale each.
void quantise(std::vector<float>& values, int64_t width) {
  const auto factor = 1.0f / std::sqrt(static_cast<float>(cpu::rotation_block(width)));
  for (size_t i = 0; i < values.size(); i += width) {
    cpu::rotate(&values[i], width);
    float most = 0;
    for (int64_t k = 0; k < width; ++k) most = std::max(most, std::abs(values[i + k]));
    const float scale = most / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (int64_t k = 0; k < width; ++k)
      values[i + k] = factor * scale * std::nearbyint(values[i + k] * inverse);
  }
}

void rotation_is_hadamard(int64_t K) {
  const int64_t block = cpu::rotation_block(K);
  std::vector<float> x = random(K, 1);
  std::vector<double> want(K);
  for (int64_t k = 0; k < K; ++k)
    for (int64_t j = 0; j < block; ++j) {
      const int64_t from = k / block * block + j;
      const bool minus = __builtin_popcountll(static_cast<uint64_t>(k % block & j)) % 2 != 0;
      const double value = block == 1 ? x[from] : cpu::rotation_signs()[j] * x[from];
      want[k] += minus ? -value : value;
    }
  cpu::rotate(x.data(), K);
  require_all_close(x, want, kTolerance);
}

Multiplied multiply(const Ops& ops, const Case& c, int threads, int64_t only_row = -1) {
  ThreadPool pool(threads);
  std::vector<float> x = random(c.M * c.K, 1);
  std::vector<float> w = random(c.N * c.K, 2);
  if (c.type == WeightType::kBF16 || c.type == WeightType::kStored) {
    make_exact(x);
    make_exact(w);
  }
  if (c.stored == TensorType::kQ8_0)
    for (float& value : w) value = std::clamp(std::round(value * 16), -127.0f, 127.0f) / 16;
  const std::vector<float> bias = random(c.N, 3);
  std::vector<float> y = random(c.M * c.N, 4);

  const int64_t groups = std::max<int64_t>(1, static_cast<int64_t>(c.ranks.size()));
  std::vector<RowGroup> rows;
  for (int64_t g = 0; g < groups; ++g)
    rows.push_back({g * c.M / groups, (g + 1) * c.M / groups - g * c.M / groups});
  std::vector<std::vector<float>> a, b;
  std::vector<Matrix> packed_a(groups), packed_b(groups);
  std::vector<const Matrix*> down(groups, nullptr);
  std::vector<LoraUp> up(groups);
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t rank = c.ranks.empty() ? 0 : c.ranks[g];
    // Column `align` of u belongs to the target; what is before it belongs to another.
    a.push_back(random((ops.lora_align + rank) * c.K, 10 + static_cast<uint32_t>(g), 0.1f));
    b.push_back(random(c.N * rank, 20 + static_cast<uint32_t>(g), 0.1f));
    make_exact(a.back());
    make_exact(b.back());
    if (rank == 0) continue;
    ops.pack_matrix(packed_a[g], a[g].data(), ops.lora_align + rank, c.K, lora_type(c.type), pool);
    ops.pack_matrix(packed_b[g], b[g].data(), c.N, rank, lora_type(c.type), pool);
    down[g] = &packed_a[g];
    up[g] = {&packed_b[g], ops.lora_align};
  }

  std::vector<float> near_x = x;
  std::vector<float> near_w = w;
  if (c.type == WeightType::kInt8) {
    quantise(near_x, c.K);
    quantise(near_w, c.K);
  }
  std::vector<double> want(c.M * c.N);
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t m = rows[g].begin; m < rows[g].begin + rows[g].count; ++m) {
      const int64_t rank = down[g] == nullptr ? 0 : down[g]->N - ops.lora_align;
      std::vector<double> u(rank);
      for (int64_t r = 0; r < rank; ++r)
        for (int64_t k = 0; k < c.K; ++k)
          u[r] += static_cast<double>(x[m * c.K + k]) * a[g][(ops.lora_align + r) * c.K + k];
      for (int64_t n = 0; n < c.N; ++n) {
        const int64_t D = c.head;
        const int64_t i = D > 0 ? n % D : 0;
        const int64_t at = D > 0 ? n / D * D + (i < D / 2 ? 2 * i : 2 * (i - D / 2) + 1) : n;
        double sum = (c.accumulate ? y[m * c.N + n] : 0.0) + (c.bias ? bias[n] : 0.0);
        for (int64_t k = 0; k < c.K; ++k)
          sum += static_cast<double>(near_x[m * c.K + k]) * near_w[at * c.K + k];
        for (int64_t r = 0; r < rank; ++r) sum += u[r] * b[g][n * rank + r];
        want[m * c.N + n] = sum;
      }
    }

  if (only_row >= 0) {
    int64_t group = 0;
    while (only_row >= rows[group].begin + rows[group].count) ++group;
    for (auto& each : rows) each = {0, 0};
    rows[group] = {only_row, 1};
  }
  const std::vector<Panel> panels = panels_of(rows, ops.panel_rows);
  const auto end = static_cast<int64_t>(panels.size());
  Scratch scratch;
  PackedRows packed_x, packed_for_lora, u;
  ops.pack_rows(packed_x, ops.row_type(c.type), x.data(), c.K, panels, 0, end, {}, scratch, pool);
  ops.pack_rows(packed_for_lora, ops.row_type(lora_type(c.type)), x.data(), c.K, panels, 0, end, {},
                scratch, pool);
  ops.lora_down(u, packed_for_lora, panels, 0, end, down, pool);
  Matrix matrix;
  std::vector<uint8_t> bytes;
  if (c.type == WeightType::kStored) {
    bytes = stored_bytes(w, c.stored);
    matrix.type = c.type;
    matrix.N = c.N;
    matrix.K = c.K;
    matrix.data = bytes.data();
    matrix.stored = c.stored;
    matrix.interleaved_head = c.head;
  } else {
    ops.pack_matrix(matrix, w.data(), c.N, c.K, c.type, pool);
  }
  const Product product{&panels,
                        0,
                        end,
                        &packed_x,
                        &matrix,
                        c.bias ? bias.data() : nullptr,
                        c.N,
                        c.ranks.empty() ? nullptr : &u,
                        c.ranks.empty() ? nullptr : &up};
  ops.linear(y.data(), product, c.accumulate, scratch, pool);
  return {y, want};
}

void product_matches_naive(const Ops& ops, const Case& c) {
  const Multiplied result = multiply(ops, c, 2);
  // u is rounded to the rows' type before it meets b.
  const bool rounded = !c.ranks.empty() && ops.row_type(lora_type(c.type)) == RowType::kBF16;
  require_all_close(result.y, result.want, rounded ? kBf16Tolerance : kTolerance);
}

void rows_do_not_see_each_other(const Ops& ops, const Case& c, int threads) {
  const std::vector<float> all = multiply(ops, c, threads).y;
  for (int64_t m = 0; m < c.M; m += 5) {
    const std::vector<float> alone = multiply(ops, c, 1, m).y;
    require_same_bits(alone.data() + m * c.N, all.data() + m * c.N, c.N,
                      "row " + std::to_string(m) + " changed in company");
  }
}

/// silu(gate) * up, packed for a product with the identity, or in rows.
void gated_matches_naive(const Ops& ops, WeightType type, int64_t M, int64_t F, int64_t K,
                         bool bias) {
  ThreadPool pool(2);
  std::vector<float> x = random(M * K, 1), gate = random(F * K, 2, 0.2f),
                     up = random(F * K, 3, 0.2f);
  for (auto* values : {&x, &gate, &up})
    if (type != WeightType::kF32) make_exact(*values);
  const std::vector<float> gate_bias = random(F, 4), up_bias = random(F, 5);
  std::vector<double> want(M * F);
  std::vector<float> near_x = x, near_gate = gate, near_up = up;
  if (type == WeightType::kInt8)
    for (auto* values : {&near_x, &near_gate, &near_up}) quantise(*values, K);
  for (int64_t m = 0; m < M; ++m)
    for (int64_t f = 0; f < F; ++f) {
      double g = bias ? gate_bias[f] : 0, u = bias ? up_bias[f] : 0;
      for (int64_t k = 0; k < K; ++k) {
        g += static_cast<double>(near_x[m * K + k]) * near_gate[f * K + k];
        u += static_cast<double>(near_x[m * K + k]) * near_up[f * K + k];
      }
      want[m * F + f] = g / (1 + std::exp(-g)) * u;
    }
  const std::vector<Panel> panels = panels_of({{0, M}}, ops.panel_rows);
  const auto end = static_cast<int64_t>(panels.size());
  Scratch scratch;
  PackedRows packed, h;
  ops.pack_rows(packed, ops.row_type(type), x.data(), K, panels, 0, end, {}, scratch, pool);
  Matrix gates, ups, identity;
  ops.pack_matrix(gates, gate.data(), F, K, type, pool);
  ops.pack_matrix(ups, up.data(), F, K, type, pool);
  const Product g{&panels, 0,       end,    &packed, &gates, bias ? gate_bias.data() : nullptr,
                  F,       nullptr, nullptr};
  const Product u{&panels, 0,       end,    &packed, &ups, bias ? up_bias.data() : nullptr,
                  F,       nullptr, nullptr};
  std::vector<float> y(M * F);
  ops.gated(h, RowType::kF32, y.data(), g, u, scratch, pool);
  require_all_close(y, want, kExpTolerance);
  // Packed: read back through a product with the identity.
  const WeightType next = lora_type(type);
  ops.gated(h, ops.row_type(next), nullptr, g, u, scratch, pool);
  std::vector<float> eye(F * F, 0.0f);
  for (int64_t f = 0; f < F; ++f) eye[f * F + f] = 1.0f;
  ops.pack_matrix(identity, eye.data(), F, F, next, pool);
  const Product read{&panels, 0, end, &h, &identity, nullptr, F, nullptr, nullptr};
  ops.linear(y.data(), read, false, scratch, pool);
  require_all_close(y, want, ops.row_type(next) == RowType::kBF16 ? kBf16Tolerance : kExpTolerance);
}

std::vector<double> naive_attention(const AttentionCase& c, const AttentionData& data) {
  const auto [H, G, D, scale, window] = c.shape;
  std::vector<double> out(data.rows * H * D);
  for (const AttentionSegment& segment : data.segments) {
    std::vector<int64_t> keys;
    for (const KvSpan& span : segment.spans)
      for (int64_t j = 0; j < span.count; ++j) keys.push_back(span.row + j);
    for (int64_t i = 0; i < segment.query_count; ++i)
      for (int64_t h = 0; h < H; ++h) {
        const float* q = &data.q[((segment.query_row + i) * H + h) * D];
        const int64_t end = segment.position + i + 1;
        std::vector<double> p;
        double sum = 0;
        for (int64_t j = 0; j < end; ++j) {
          double dot = 0;
          for (int64_t d = 0; d < D; ++d)
            dot += static_cast<double>(q[d]) * data.k[(keys[j] * G + h / (H / G)) * D + d];
          const bool hidden = window > 0 && end - j > window;
          p.push_back(hidden ? 0.0 : std::exp(dot * scale));
          sum += p.back();
        }
        for (int64_t j = 0; j < end; ++j)
          for (int64_t d = 0; d < D; ++d)
            out[((segment.query_row + i) * H + h) * D + d] +=
                p[j] / sum * data.v[(keys[j] * G + h / (H / G)) * D + d];
      }
  }
  return out;
}

std::vector<float> run_attention(const Ops& ops, const AttentionCase& c, const AttentionData& data,
                                 int threads, RowType type = RowType::kF32) {
  ThreadPool pool(threads);
  Scratch scratch;
  std::vector<float> out(data.rows * c.shape.heads * c.shape.head_dim);
  ops.attention(out.data(), data.q.data(), data.k.data(), data.v.data(), data.rows, data.segments,
                c.shape, type, scratch, pool);
  return out;
}

/// Rows that are kept as they come, prompts at once and candidates row by row in turns, give the bits of rows that come
/// together.
void kept_rows_change_no_bit(const Ops& ops, const AttentionCase& c, RowType type) {
  const AttentionData data = attention_data(c);
  const std::vector<float> together = run_attention(ops, c, data, 2, type);
  const int64_t key = c.shape.kv_heads * c.shape.head_dim;
  ThreadPool pool(2);
  Scratch scratch;
  KeyValues kept;
  std::vector<int64_t> rows;  // of each segment's own span in the store
  int64_t end = kKeptAlign;
  for (const AttentionSegment& segment : data.segments) {
    rows.push_back(end);
    end += (segment.query_count + kKeptAlign - 1) / kKeptAlign * kKeptAlign;
  }
  ops.reserve_key_values(kept, end, c.shape, host_memory());
  ops.keep(kept, data.k.data(), data.v.data(), {{rows[0], c.prompt}}, c.shape, type, pool);
  const int64_t longest = *std::max_element(c.candidates.begin(), c.candidates.end());
  for (int64_t step = 0; step < longest; ++step) {
    std::vector<KvSpan> to;
    std::vector<float> k, v;
    for (size_t i = c.prompt > 0; i < data.segments.size(); ++i) {
      const AttentionSegment& segment = data.segments[i];
      if (step >= segment.query_count) continue;
      const int64_t row = (segment.query_row + step) * key;
      to.push_back({rows[i] + step, 1});
      k.insert(k.end(), data.k.begin() + row, data.k.begin() + row + key);
      v.insert(v.end(), data.v.begin() + row, data.v.begin() + row + key);
    }
    ops.keep(kept, k.data(), v.data(), to, c.shape, type, pool);
  }
  std::vector<AttentionSegment> segments = data.segments;
  for (size_t i = 0; i < segments.size(); ++i) {
    segments[i].spans.front().row = rows[0];
    segments[i].spans.back().row = rows[i];
  }
  std::vector<float> out(together.size());
  ops.attention_over(out.data(), data.q.data(), kept, segments, c.shape, type, scratch, pool);
  require_same_bits(out.data(), together.data(), static_cast<int64_t>(out.size()),
                    "kept keys and values changed a result");
}

/// The candidate's rows when its prompt is copied in front of it, as one segment.
void shared_prompt_changes_no_bit(const Ops& ops, const AttentionCase& c, RowType type) {
  const AttentionData data = attention_data(c);
  const std::vector<float> shared = run_attention(ops, c, data, 2, type);
  const int64_t query = c.shape.heads * c.shape.head_dim;
  for (size_t i = c.prompt > 0; i < data.segments.size(); ++i) {
    const AttentionSegment& segment = data.segments[i];
    // bfloat16 pairs begin with a span: there the prompt stays a node of its own.
    const AttentionData alone = test::with_own_prompt(c, data, segment, type != RowType::kF32);
    const std::vector<float> out = run_attention(ops, c, alone, 1, type);
    require_same_bits(out.data() + c.prompt * query, shared.data() + segment.query_row * query,
                      segment.query_count * query,
                      "segment " + std::to_string(i) + " changed with a shared prompt");
  }
}

void test_unit(const Ops& ops, const std::string& unit) {
  const auto run = [&](const std::string& name, const std::function<void()>& body) {
    test::test(unit + ": " + name, [&] {
      emulated::take_faults();  // those of a test that failed
      body();
      const std::string faults = emulated::take_faults();
      require(faults.empty(), faults);
    });
  };

  const std::pair<const char*, WeightType> types[] = {
      {"f32", WeightType::kF32}, {"bf16", WeightType::kBF16}, {"int8", WeightType::kInt8}};
  for (const auto& [label, type] : types) {
    const std::string of = std::string(label) + " ";
    for (const int64_t M : {1, 12, 13, 50})
      for (const int64_t N : {1, 31, 32, 65})
        for (const int64_t K : {1, 8, 97})
          run(of + "product " + std::to_string(M) + "x" + std::to_string(N) + "x" +
                  std::to_string(K),
              [&] { product_matches_naive(ops, {M, N, K, type, N % 2 == 0, M % 2 == 0}); });
    for (const int64_t K : {16, 96, 64, 384, 512, 768})  // blocks of 16 to 256
      run(of + "product of " + std::to_string(K) + " inputs",
          [&] { product_matches_naive(ops, {13, 33, K, type, false, false}); });
    run(of + "product over several cache blocks",
        [&] { product_matches_naive(ops, {300, 96, 700, type, true, false}); });
    run(of + "product with LoRA of mixed ranks", [&] {
      product_matches_naive(ops, {50, 70, 83, type, true, false, {3, 0, 32, 40}});
      product_matches_naive(ops, {50, 70, 64, type, false, true, {8, 1}});
    });
    run(of + "rows do not see each other", [&] {
      for (const int threads : {1, 2, 3})
        rows_do_not_see_each_other(ops, {61, 70, 83, type, false, false, {5, 0, 17}}, threads);
    });
    run(of + "gated", [&] {
      gated_matches_naive(ops, type, 29, 96, 70, false);
      gated_matches_naive(ops, type, 13, 50, 33, true);
    });
    run(of + "a NaN row reaches its product", [&] {
      ThreadPool pool(1);
      const std::vector<Panel> panels = panels_of({{0, 2}}, ops.panel_rows);
      std::vector<float> x = random(2 * 40, 1);
      x[17] = NAN;
      const std::vector<float> w = random(40 * 40, 2);
      PackedRows rows;
      Matrix matrix;
      Scratch scratch;
      ops.pack_rows(rows, ops.row_type(type), x.data(), 40, panels, 0, 1, {}, scratch, pool);
      ops.pack_matrix(matrix, w.data(), 40, 40, type, pool);
      std::vector<float> y(80);
      ops.linear(y.data(), {&panels, 0, 1, &rows, &matrix, nullptr, 40, nullptr, nullptr}, false,
                 scratch, pool);
      require(std::isnan(y[0]) && std::isnan(y[39]) && std::isfinite(y[40]),
              "the NaN was swallowed or spread");
    });
  }
  run("stored product, float32", [&] {
    product_matches_naive(ops,
                          {50, 70, 83, WeightType::kStored, true, false, {3, 0}, TensorType::kF32});
  });
  run("stored product, Q8_0, rows in RoPE's paired order", [&] {
    product_matches_naive(
        ops, {30, 64, 320, WeightType::kStored, false, true, {}, TensorType::kQ8_0, 16});
  });
  run("bfloat16 products stay within the rounding of their factors", [&] {
    ThreadPool pool(1);
    const int64_t M = 20, N = 40, K = 301;
    const std::vector<float> x = random(M * K, 20);
    const std::vector<float> w = random(N * K, 21);
    Matrix matrix;
    ops.pack_matrix(matrix, w.data(), N, K, WeightType::kBF16, pool);
    const std::vector<Panel> panels = panels_of({{0, M}}, ops.panel_rows);
    const auto end = static_cast<int64_t>(panels.size());
    PackedRows rows;
    Scratch scratch;
    ops.pack_rows(rows, ops.row_type(WeightType::kBF16), x.data(), K, panels, 0, end, {}, scratch,
                  pool);
    std::vector<float> y(M * N);
    ops.linear(y.data(), {&panels, 0, end, &rows, &matrix, nullptr, N, nullptr, nullptr}, false,
               scratch, pool);
    // Each factor is off by at most 2^-9 of itself when it is rounded to nearest, not cut.
    for (int64_t m = 0; m < M; ++m)
      for (int64_t n = 0; n < N; ++n) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < K; ++k) {
          const double product = static_cast<double>(x[m * K + k]) * w[n * K + k];
          sum += product;
          size += product * product;
        }
        require_close(y[m * N + n], sum, std::sqrt(size), 5.0 / 512, "product");
      }
  });

  for (const int64_t C : {1, 7, 16, 64, 100})
    run("rms_norm " + std::to_string(C), [&] {
      ThreadPool pool(2);
      const int64_t T = 37;
      const std::vector<float> x = random(T * C, 10);
      const std::vector<float> weight = random(C, 11);
      std::vector<float> y(T * C);
      ops.rms_norm(y.data(), x.data(), weight.data(), T, C, 1e-5f, pool);
      std::vector<double> want(T * C);
      for (int64_t t = 0; t < T; ++t) {
        double squares = 0;
        for (int64_t c = 0; c < C; ++c) squares += static_cast<double>(x[t * C + c]) * x[t * C + c];
        for (int64_t c = 0; c < C; ++c)
          want[t * C + c] =
              x[t * C + c] / std::sqrt(squares / static_cast<double>(C) + 1e-5) * weight[c];
      }
      require_all_close(y, want, kTolerance);
    });

  run("rope rotates (i, i + D/2) by the row's angle", [&] {
    ThreadPool pool(2);
    const int64_t T = 9, H = 3, D = 10;
    const std::vector<float> angles = random(50 * D / 2, 12, 2.0f);
    std::vector<float> cosines, sines;
    for (const float angle : angles) {
      cosines.push_back(std::cos(angle));
      sines.push_back(std::sin(angle));
    }
    const std::vector<int32_t> positions{0, 3, 1, 49, 7, 7, 20, 21, 22};
    const std::vector<float> before = random(T * H * D, 13);
    std::vector<float> x = before;
    ops.rope(x.data(), positions.data(), cosines.data(), sines.data(), T, H, D, pool);
    std::vector<double> want(T * H * D);
    for (int64_t t = 0; t < T; ++t)
      for (int64_t h = 0; h < H; ++h)
        for (int64_t i = 0; i < D / 2; ++i) {
          const int64_t at = (t * H + h) * D + i;
          const double angle = angles[positions[t] * D / 2 + i];
          want[at] = before[at] * std::cos(angle) - before[at + D / 2] * std::sin(angle);
          want[at + D / 2] = before[at + D / 2] * std::cos(angle) + before[at] * std::sin(angle);
        }
    require_all_close(x, want, kTolerance);
  });

  run("rows are normalised while they are packed", [&] {
    ThreadPool pool(2);
    const int64_t T = 29, C = 75;
    const std::vector<float> x = random(T * C, 14);
    const std::vector<float> weight = random(C, 15);
    std::vector<float> normed(T * C), direct(T * C), fused(T * C);
    ops.rms_norm(normed.data(), x.data(), weight.data(), T, C, 1e-5f, pool);
    const std::vector<Panel> panels = panels_of({{0, 10}, {10, 19}}, ops.panel_rows);
    const auto end = static_cast<int64_t>(panels.size());
    for (const auto& [label, type] : types) {
      Matrix matrix;
      const std::vector<float> w = random(C * C, 16);
      ops.pack_matrix(matrix, w.data(), C, C, type, pool);
      PackedRows rows;
      Scratch scratch;
      const Product product{&panels, 0, end, &rows, &matrix, nullptr, C, nullptr, nullptr};
      ops.pack_rows(rows, ops.row_type(type), normed.data(), C, panels, 0, end, {}, scratch, pool);
      ops.linear(direct.data(), product, false, scratch, pool);
      ops.pack_rows(rows, ops.row_type(type), x.data(), C, panels, 0, end, {weight.data(), 1e-5f},
                    scratch, pool);
      ops.linear(fused.data(), product, false, scratch, pool);
      require_all_close(fused, {direct.begin(), direct.end()},
                        type == WeightType::kF32 ? kTolerance : kBf16Tolerance);
    }
  });

  for (const int64_t N : {1, 7, 16, 33, 1000})
    run("softmax_terms " + std::to_string(N), [&] {
      ThreadPool pool(2);
      const int64_t T = 5;
      std::vector<float> x = random(T * N, 11);
      for (float& value : x) value *= 20;
      for (const float scale : {1.0f, 0.5f, 3.0f}) {
        std::vector<float> terms(T * N);
        ops.softmax_terms(terms.data(), x.data(), T, N, scale, pool);
        std::vector<double> expected;
        for (int64_t t = 0; t < T; ++t) {
          const double largest = *std::max_element(x.begin() + t * N, x.begin() + (t + 1) * N);
          for (int64_t n = 0; n < N; ++n)
            expected.push_back(std::exp(scale * (x[t * N + n] - largest)));
        }
        require_all_close(terms, expected, kExpTolerance);
      }
    });

  const std::vector<AttentionCase> cases{
      {{4, 2, 8, 0.35f, 0}, 1, {1}},          {{4, 4, 16, 0.25f, 0}, 33, {5, 40, 1}},
      {{6, 2, 12, 0.3f, 0}, 50, {17, 64, 3}}, {{9, 3, 64, 0.125f, 0}, 100, {90, 31}},
      {{4, 1, 20, 0.2f, 0}, 0, {70, 2}},      {{4, 2, 8, 0.35f, 7}, 40, {30, 1}},
      {{8, 8, 80, 0.1f, 64}, 130, {20, 70}},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    run("attention case " + std::to_string(i), [&] {
      const AttentionData data = attention_data(cases[i]);
      require_all_close(run_attention(ops, cases[i], data, 2), naive_attention(cases[i], data),
                        kExpTolerance);
    });
    run("attention case " + std::to_string(i) + ", shared and unshared prompt", [&] {
      for (const RowType type : {RowType::kF32, RowType::kBF16})
        shared_prompt_changes_no_bit(ops, cases[i], type);
    });
    run("attention case " + std::to_string(i) + ", kept rows", [&] {
      for (const RowType type : {RowType::kF32, RowType::kBF16})
        kept_rows_change_no_bit(ops, cases[i], type);
    });
    run("attention case " + std::to_string(i) + ", bfloat16 products", [&] {
      const AttentionData data = attention_data(cases[i]);
      // The weights of the sum and the values are off by at most 2^-9 of themselves each.
      require_all_close(run_attention(ops, cases[i], data, 2, RowType::kBF16),
                        naive_attention(cases[i], data), kBf16Tolerance);
    });
  }
  for (const RowType type : {RowType::kF32, RowType::kBF16})
    run("a NaN key or value reaches its own node's output and no other", [&] {
      const AttentionCase& c = cases[1];
      AttentionData data = attention_data(c);
      const int64_t width = c.shape.heads * c.shape.head_dim;
      const int64_t key = c.shape.kv_heads * c.shape.head_dim;
      // The second candidate's first row follows the first candidate's last of five: an odd pair's neighbour.
      const int64_t first = data.segments[2].query_row;
      data.k[first * key] = NAN;
      data.v[first * key + 1] = NAN;
      const std::vector<float> out = run_attention(ops, c, data, 1, type);
      require(std::isnan(out[first * width]) && std::isnan(out[first * width + 1]),
              "the NaN was swallowed");
      for (int64_t i = 0; i < first * width; ++i) require(std::isfinite(out[i]), "the NaN spread");
    });
}

struct Unit {
  const char* name;
  const Ops& (*ops)();
  /// Where the processor lacks the unit's own instructions and they are emulated, it needs those of this unit; null:
  /// they are not emulated.
  const char* emulated_on = nullptr;
};

constexpr Unit kUnits[] = {{"reference", reference_ops},       {"avx2", avx2_ops},
                           {"avx_vnni", avx_vnni_ops, "avx2"}, {"avx512", avx512_ops},
                           {"avx512_vnni", avx512_vnni_ops},   {"avx512_bf16", avx512_bf16_ops},
                           {"amx", amx_ops, "avx512_bf16"}};

/// A unit whose flags the kernel shows is listed, and AMX only where they are shown.
void units_are_the_processors() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string line, flags;
  while (flags.empty() && std::getline(cpuinfo, line))
    if (line.starts_with("flags")) flags = line + " ";
  if (flags.empty())
    return std::printf("no flags in /proc/cpuinfo: detection not checked\n"), void();
  const auto shown = [&](const char* flag) {
    return flags.find(std::string(" ") + flag + " ") != std::string::npos;
  };
  const std::vector<std::string> listed = instruction_sets();
  const auto has = [&](const char* name) {
    return std::find(listed.begin(), listed.end(), name) != listed.end();
  };
  const bool avx2 = shown("avx2") && shown("fma");
  const bool avx512 =
      avx2 && shown("avx512f") && shown("avx512bw") && shown("avx512dq") && shown("avx512vl");
  const bool vnni = avx512 && shown("avx512_vnni");
  const bool bf16 = vnni && shown("avx512_bf16");
  require(has("avx2") == avx2 && has("avx512") == avx512, "AVX2 or AVX-512");
  require(has("avx512_vnni") == vnni && has("avx512_bf16") == bf16, "AVX-512 VNNI or BF16");
  require(has("avx_vnni") || !(avx2 && shown("avx_vnni")), "AVX-VNNI");  // old kernels hide it
  // The kernel may refuse the tiles.
  require(!has("amx") || (shown("amx_tile") && shown("amx_bf16") && shown("amx_int8")), "AMX");
}

}  // namespace

int main() {
  for (const int64_t K : {1, 6, 83, 96, 128, 640, 1024})
    test::test("rotation of " + std::to_string(K), [&] { rotation_is_hadamard(K); });
  test::test("the units are the processor's", units_are_the_processors);
  const std::vector<std::string> listed = instruction_sets();
  const auto has = [&](const char* name) {
    return std::find(listed.begin(), listed.end(), name) != listed.end();
  };
  emulated::catch_traps();
  for (const Unit& unit : kUnits) {
    const bool emulated = !has(unit.name) && unit.emulated_on != nullptr && has(unit.emulated_on);
    if (has(unit.name) || emulated) {
      std::printf("%s: %s\n", unit.name,
                  emulated
                      ? "not on this processor; run with its instructions emulated as they trap"
                      : "run as it is");
      test_unit(unit.ops(), std::string(unit.name) + (emulated ? " emulated" : ""));
    } else {
      std::printf("%s: not run, this processor has none%s%s\n", unit.name,
                  unit.emulated_on != nullptr ? "; to be emulated it needs " : "",
                  unit.emulated_on != nullptr ? unit.emulated_on : "");
    }
  }
  return test::finish();
}
