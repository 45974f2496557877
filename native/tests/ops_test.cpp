// Every unit of this machine against naive loops in double, and every unit's rows alone against the
// same rows in company.

#include "dmoerm/ops.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "check.h"

namespace {

using namespace dmoerm;
using test::require;
using test::require_close;

/// Tolerances relative to the largest reference value; rounding of sums of up to a few hundred
/// float32 products.
constexpr double kTolerance = 2e-6;
constexpr double kExpTolerance = 2e-6;

std::vector<float> random(int64_t count, uint32_t seed, float scale = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

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

void linear_matches_naive(const Ops& ops, int64_t M, int64_t N, int64_t K, WeightType type,
                          bool bias, bool accumulate) {
  ThreadPool pool(2);
  std::vector<float> x = random(M * K, 1);
  std::vector<float> w = random(N * K, 2);
  if (type == WeightType::kBF16) {
    make_exact(x);
    make_exact(w);
  }
  const std::vector<float> b = random(N, 3);
  std::vector<float> y = random(M * N, 4);
  std::vector<double> want(M * N);
  for (int64_t m = 0; m < M; ++m)
    for (int64_t n = 0; n < N; ++n) {
      double sum = accumulate ? y[m * N + n] : 0.0;
      if (bias) sum += b[n];
      for (int64_t k = 0; k < K; ++k) sum += static_cast<double>(x[m * K + k]) * w[n * K + k];
      want[m * N + n] = sum;
    }
  PackedMatrix packed;
  ops.pack_matrix(packed, w.data(), N, K, type, pool);
  PackedRows rows;
  ops.pack_rows(rows, x.data(), K, {{0, M / 3}, {M / 3, M - M / 3}}, type, pool);
  ops.linear(y.data(), rows, 0, static_cast<int64_t>(rows.panels.size()), packed,
             bias ? b.data() : nullptr, accumulate, pool);
  require_all_close(y, want, kTolerance);
}

void linear_rows_do_not_see_each_other(const Ops& ops, WeightType type, int threads) {
  const int64_t M = 61, N = 70, K = 83;
  ThreadPool pool(threads);
  ThreadPool one(1);
  const std::vector<float> x = random(M * K, 5);
  const std::vector<float> w = random(N * K, 6);
  PackedMatrix packed;
  ops.pack_matrix(packed, w.data(), N, K, type, pool);
  PackedRows rows;
  std::vector<float> all(M * N);
  ops.pack_rows(rows, x.data(), K, {{0, M}}, type, pool);
  ops.linear(all.data(), rows, 0, static_cast<int64_t>(rows.panels.size()), packed, nullptr, false,
             pool);
  for (int64_t m = 0; m < M; ++m) {
    std::vector<float> alone(N);
    ops.pack_rows(rows, x.data() + m * K, K, {{0, 1}}, type, one);
    ops.linear(alone.data(), rows, 0, 1, packed, nullptr, false, one);
    require_same_bits(alone.data(), all.data() + m * N, N,
                      "row " + std::to_string(m) + " changed in company");
  }
}

struct AttentionCase {
  AttentionShape shape;
  int64_t prompt = 0;
  std::vector<int64_t> candidates;
};

struct AttentionData {
  std::vector<float> q, k, v;
  int64_t rows = 0;
  std::vector<AttentionSegment> segments;
};

AttentionData attention_data(const AttentionCase& c) {
  AttentionData data;
  data.segments.push_back({0, c.prompt, 0, {{0, c.prompt}}});
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
                                 int threads) {
  ThreadPool pool(threads);
  AttentionScratch scratch;
  std::vector<float> out(data.rows * c.shape.heads * c.shape.head_dim);
  ops.attention(out.data(), data.q.data(), data.k.data(), data.v.data(), data.rows, data.segments,
                c.shape, scratch, pool);
  return out;
}

/// The candidate's rows when its prompt is copied in front of it, as one segment.
void shared_prompt_changes_no_bit(const Ops& ops, const AttentionCase& c) {
  const AttentionData data = attention_data(c);
  const std::vector<float> shared = run_attention(ops, c, data, 2);
  const int64_t query = c.shape.heads * c.shape.head_dim;
  const int64_t key = c.shape.kv_heads * c.shape.head_dim;
  for (size_t i = 1; i < data.segments.size(); ++i) {
    const AttentionSegment& segment = data.segments[i];
    AttentionData alone;
    alone.rows = c.prompt + segment.query_count;
    alone.segments.push_back({0, alone.rows, 0, {{0, alone.rows}}});
    const auto join = [&](const std::vector<float>& from, int64_t width) {
      std::vector<float> to(from.begin(), from.begin() + c.prompt * width);
      const auto own = from.begin() + segment.query_row * width;
      to.insert(to.end(), own, own + segment.query_count * width);
      return to;
    };
    alone.q = join(data.q, query);
    alone.k = join(data.k, key);
    alone.v = join(data.v, key);
    const std::vector<float> out = run_attention(ops, c, alone, 1);
    require_same_bits(out.data() + c.prompt * query, shared.data() + segment.query_row * query,
                      segment.query_count * query,
                      "candidate " + std::to_string(i - 1) + " changed with a shared prompt");
  }
}

void test_unit(const Ops& ops) {
  const std::string unit = ops.name;
  const auto run = [&](const std::string& name, const std::function<void()>& body) {
    test::test(unit + ": " + name, body);
  };

  for (const int64_t M : {1, 12, 13, 50})
    for (const int64_t N : {1, 31, 32, 65})
      for (const int64_t K : {1, 8, 97})
        for (const WeightType type : {WeightType::kF32, WeightType::kBF16})
          run("linear " + std::to_string(M) + "x" + std::to_string(N) + "x" + std::to_string(K),
              [&] { linear_matches_naive(ops, M, N, K, type, N % 2 == 0, M % 2 == 0); });
  for (const WeightType type : {WeightType::kF32, WeightType::kBF16}) {
    run("linear over several cache blocks",
        [&] { linear_matches_naive(ops, 300, 96, 700, type, true, false); });
    run("linear rows do not see each other", [&] {
      for (const int threads : {1, 2, 3}) linear_rows_do_not_see_each_other(ops, type, threads);
    });
  }
  run("bfloat16 products stay within the rounding of their factors", [&] {
    ThreadPool pool(1);
    const int64_t M = 20, N = 40, K = 301;
    const std::vector<float> x = random(M * K, 20);
    const std::vector<float> w = random(N * K, 21);
    PackedMatrix matrix;
    ops.pack_matrix(matrix, w.data(), N, K, WeightType::kBF16, pool);
    PackedRows rows;
    ops.pack_rows(rows, x.data(), K, {{0, M}}, WeightType::kBF16, pool);
    std::vector<float> y(M * N);
    ops.linear(y.data(), rows, 0, static_cast<int64_t>(rows.panels.size()), matrix, nullptr, false,
               pool);
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

  run("silu_mul", [&] {
    ThreadPool pool(2);
    const int64_t T = 5, C = 37;
    std::vector<float> gate = random(T * C, 14, 4.0f);
    gate[0] = -200.0f;
    gate[1] = 200.0f;
    gate[2] = 0.0f;
    const std::vector<float> up = random(T * C, 15);
    std::vector<double> want;
    for (int64_t i = 0; i < T * C; ++i)
      want.push_back(gate[i] / (1.0 + std::exp(-static_cast<double>(gate[i]))) * up[i]);
    ops.silu_mul(gate.data(), up.data(), T, C, pool);
    require_all_close(gate, want, kExpTolerance);
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
    run("attention case " + std::to_string(i) + ", shared and unshared prompt",
        [&] { shared_prompt_changes_no_bit(ops, cases[i]); });
  }
  run("a NaN key reaches the output", [&] {
    AttentionData data = attention_data(cases[1]);
    data.k[0] = NAN;
    const std::vector<float> out = run_attention(ops, cases[1], data, 1);
    require(std::isnan(out[0]), "the NaN was swallowed");
  });
}

}  // namespace

int main() {
  for (const char* name : {"reference", "avx2", "avx512", "avx512_bf16"}) {
    const std::vector<std::string> here = instruction_sets();
    if (std::find(here.begin(), here.end(), name) != here.end())
      test_unit(select_ops(name));
    else
      std::printf("%s: not run, this processor has none\n", name);
  }
  return test::finish();
}
