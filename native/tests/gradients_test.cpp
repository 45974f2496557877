// Derivatives: the plain ones against finite differences of forward passes in double, every unit of this machine
// against the plain ones, and rows alone against the same rows in company.

#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "check.h"
#include "dmoerm/gradient_ops.h"
#include "forest.h"

namespace {

using namespace dmoerm;
using test::Forest;
using test::forest;
using test::random;
using test::require;
using test::require_close;

constexpr double kTolerance = 1e-5;

double largest(const std::vector<float>& values) {
  double most = 1e-30;
  for (const float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

void require_all_close(const std::vector<float>& got, const std::vector<float>& want,
                       const std::string& what) {
  const double scale = largest(want);
  for (size_t i = 0; i < want.size(); ++i)
    require_close(got[i], want[i], scale, kTolerance, what + " " + std::to_string(i));
}

/// The loss that all checks differentiate: sum of outputs times fixed numbers.
double dot(const std::vector<double>& y, const std::vector<float>& dy) {
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i) sum += y[i] * static_cast<double>(dy[i]);
  return sum;
}

/// `got` against central differences of `loss` by every element of x.
void require_derivative(const std::vector<float>& got, std::vector<double> x,
                        const std::function<double(const std::vector<double>&)>& loss,
                        const std::string& what) {
  constexpr double kStep = 1e-5;
  std::vector<float> want(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = x[i];
    x[i] = value + kStep;
    const double more = loss(x);
    x[i] = value - kStep;
    const double less = loss(x);
    x[i] = value;
    want[i] = static_cast<float>((more - less) / (2 * kStep));
  }
  require_all_close(got, want, what);
}

std::vector<double> wide(const std::vector<float>& x) { return {x.begin(), x.end()}; }

// ---- norm ---------------------------------------------------------------------------------------

void norm_differences(int64_t T, int64_t C) {
  const float eps = 1e-3f;
  const auto x = random(T * C, 1), w = random(C, 2), dy = random(T * C, 3);
  std::vector<float> dx(T * C), dw(C);
  Scratch scratch;
  ThreadPool pool(1);
  reference_gradients().rms_norm(dx.data(), dw.data(), dy.data(), x.data(), w.data(), T, C, eps,
                                 scratch, pool);
  const auto forward = [&](const std::vector<double>& x, const std::vector<double>& w) {
    std::vector<double> y(T * C);
    for (int64_t t = 0; t < T; ++t) {
      double squares = 0;
      for (int64_t c = 0; c < C; ++c) squares += x[t * C + c] * x[t * C + c];
      const double scale =
          1 / std::sqrt(squares / static_cast<double>(C) + static_cast<double>(eps));
      for (int64_t c = 0; c < C; ++c) y[t * C + c] = x[t * C + c] * scale * w[c];
    }
    return dot(y, dy);
  };
  require_derivative(dx, wide(x), [&](const auto& x) { return forward(x, wide(w)); }, "d x");
  require_derivative(dw, wide(w), [&](const auto& w) { return forward(wide(x), w); }, "d weight");
}

void norm_unit(const GradientOps& ops, int64_t T, int64_t C, int threads) {
  const auto x = random(T * C, 1), w = random(C, 2), dy = random(T * C, 3);
  std::vector<float> dx = random(T * C, 4), dw = random(C, 5);
  std::vector<float> want_dx = dx, want_dw = dw;
  Scratch scratch;
  ThreadPool pool(threads);
  ops.rms_norm(dx.data(), dw.data(), dy.data(), x.data(), w.data(), T, C, 1e-5f, scratch, pool);
  reference_gradients().rms_norm(want_dx.data(), want_dw.data(), dy.data(), x.data(), w.data(), T,
                                 C, 1e-5f, scratch, pool);
  require_all_close(dx, want_dx, "d x");
  require_all_close(dw, want_dw, "d weight");
}

// ---- gated --------------------------------------------------------------------------------------

void gated_differences(int64_t count) {
  const auto gate = random(count, 1, 3), up = random(count, 2), dh = random(count, 3);
  ThreadPool pool(1);
  std::vector<float> dgate = gate, dup = up, h(count);
  reference_gradients().gated(h.data(), gate.data(), up.data(), 1, count, pool);
  reference_gradients().gated_backward(dgate.data(), dup.data(), dh.data(), 1, count, pool);
  const auto forward = [&](const std::vector<double>& gate, const std::vector<double>& up) {
    std::vector<double> y(count);
    for (int64_t i = 0; i < count; ++i) y[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    return y;
  };
  const std::vector<double> exact = forward(wide(gate), wide(up));
  for (int64_t i = 0; i < count; ++i) require_close(h[i], exact[i], 1, kTolerance, "h");
  require_derivative(
      dgate, wide(gate), [&](const auto& x) { return dot(forward(x, wide(up)), dh); }, "d gate");
  require_derivative(
      dup, wide(up), [&](const auto& x) { return dot(forward(wide(gate), x), dh); }, "d up");
}

void gated_unit(const GradientOps& ops, int64_t count, int threads) {
  const auto gate = random(count, 1, 3), up = random(count, 2), dh = random(count, 3);
  ThreadPool pool(threads);
  std::vector<float> h(count), want_h(count);
  ops.gated(h.data(), gate.data(), up.data(), 1, count, pool);
  reference_gradients().gated(want_h.data(), gate.data(), up.data(), 1, count, pool);
  require_all_close(h, want_h, "h");
  std::vector<float> dgate = gate, dup = up, want_dgate = gate, want_dup = up;
  ops.gated_backward(dgate.data(), dup.data(), dh.data(), 1, count, pool);
  reference_gradients().gated_backward(want_dgate.data(), want_dup.data(), dh.data(), 1, count,
                                       pool);
  require_all_close(dgate, want_dgate, "d gate");
  require_all_close(dup, want_dup, "d up");
}

/// Every row has the bits that it has by itself.
void gated_company(const GradientOps& ops, int64_t T, int64_t F) {
  ThreadPool pool(2);
  const auto gate = random(T * F, 1, 3), up = random(T * F, 2), dh = random(T * F, 3);
  const auto run = [&](int64_t first, int64_t rows) {
    const int64_t at = first * F, end = (first + rows) * F;
    std::vector<float> g(gate.begin() + at, gate.begin() + end),
        u(up.begin() + at, up.begin() + end);
    std::vector<float> out(rows * F);
    ops.gated(out.data(), g.data(), u.data(), rows, F, pool);
    ops.gated_backward(g.data(), u.data(), dh.data() + at, rows, F, pool);
    out.insert(out.end(), g.begin(), g.end());
    out.insert(out.end(), u.begin(), u.end());
    return out;
  };
  const std::vector<float> all = run(0, T);
  for (int64_t t = 0; t < T; ++t) {
    const std::vector<float> one = run(t, 1);
    for (int64_t part = 0; part < 3; ++part)
      require(std::memcmp(&one[part * F], &all[(part * T + t) * F], F * sizeof(float)) == 0,
              "bits");
  }
}

// ---- attention ----------------------------------------------------------------------------------

std::vector<double> attend(const Forest& f, const std::vector<double>& q,
                           const std::vector<double>& k, const std::vector<double>& v) {
  const int64_t D = f.shape.head_dim, H = f.shape.heads, G = f.shape.kv_heads;
  std::vector<double> out(f.queries() * H * D);
  for (const AttentionSegment& segment : f.segments) {
    std::vector<int64_t> rows;
    for (const KvSpan& span : segment.spans)
      for (int64_t i = 0; i < span.count; ++i) rows.push_back(span.row + i);
    for (int64_t i = 0; i < segment.query_count; ++i)
      for (int64_t h = 0; h < H; ++h) {
        const int64_t at = ((segment.query_row + i) * H + h) * D;
        const int64_t end = segment.position + i + 1;
        const int64_t begin = f.shape.window > 0 ? std::max<int64_t>(0, end - f.shape.window) : 0;
        std::vector<double> p(end);
        double sum = 0;
        for (int64_t j = begin; j < end; ++j) {
          for (int64_t d = 0; d < D; ++d)
            p[j] += q[at + d] * k[(rows[j] * G + h / (H / G)) * D + d];
          sum += p[j] = std::exp(static_cast<double>(f.shape.scale) * p[j]);
        }
        for (int64_t j = begin; j < end; ++j)
          for (int64_t d = 0; d < D; ++d)
            out[at + d] += p[j] / sum * v[(rows[j] * G + h / (H / G)) * D + d];
      }
  }
  return out;
}

struct AttentionGradients {
  std::vector<float> dq, dk, dv;
};

AttentionGradients backward(const GradientOps& ops, const Forest& f, int threads,
                            uint32_t seed = 1) {
  const int64_t q_width = f.shape.heads * f.shape.head_dim;
  const int64_t k_width = f.shape.kv_heads * f.shape.head_dim;
  const auto q = random(f.queries() * q_width, seed), k = random(f.rows * k_width, seed + 1),
             v = random(f.rows * k_width, seed + 2), dout = random(f.queries() * q_width, seed + 3);
  AttentionGradients g{std::vector<float>(q.size()), std::vector<float>(k.size()),
                       std::vector<float>(v.size())};
  Scratch scratch;
  ThreadPool pool(threads);
  ops.attention(g.dq.data(), g.dk.data(), g.dv.data(), dout.data(), q.data(), k.data(), v.data(),
                f.queries(), f.rows, f.frozen, f.segments, f.shape, scratch, pool);
  return g;
}

void attention_differences(const Forest& f) {
  const int64_t q_width = f.shape.heads * f.shape.head_dim;
  const int64_t k_width = f.shape.kv_heads * f.shape.head_dim;
  const AttentionGradients got = backward(reference_gradients(), f, 1);
  const auto q = wide(random(f.queries() * q_width, 1)), k = wide(random(f.rows * k_width, 2)),
             v = wide(random(f.rows * k_width, 3));
  const auto dout = random(f.queries() * q_width, 4);
  require_derivative(
      got.dq, q, [&](const auto& x) { return dot(attend(f, x, k, v), dout); }, "d q");
  const auto learned = [&](const std::vector<double>& x) {
    return std::vector<double>(x.begin() + f.frozen * k_width, x.end());
  };
  const auto with = [&](std::vector<double> all, const std::vector<double>& own) {
    std::copy(own.begin(), own.end(), all.begin() + f.frozen * k_width);
    return all;
  };
  const auto tail = [&](const std::vector<float>& x) {
    return std::vector<float>(x.begin() + f.frozen * k_width, x.end());
  };
  require_derivative(
      tail(got.dk), learned(k),
      [&](const auto& x) { return dot(attend(f, q, with(k, x), v), dout); }, "d k");
  require_derivative(
      tail(got.dv), learned(v),
      [&](const auto& x) { return dot(attend(f, q, k, with(v, x)), dout); }, "d v");
  for (int64_t i = 0; i < f.frozen * k_width; ++i)
    require(got.dk[i] == 0.0f && got.dv[i] == 0.0f, "frozen keys have no derivative");
}

void attention_unit(const GradientOps& ops, const Forest& f, int threads) {
  const AttentionGradients got = backward(ops, f, threads);
  const AttentionGradients want = backward(reference_gradients(), f, 1);
  require_all_close(got.dq, want.dq, "d q");
  require_all_close(got.dk, want.dk, "d k");
  require_all_close(got.dv, want.dv, "d v");
}

/// The first tree alone has the bits that it has in company.
void attention_company(const GradientOps& ops, const AttentionShape& shape) {
  const Forest alone = forest(shape, {21}, false);
  const Forest company = forest(shape, {21, 50, 7}, false);
  // Rows of the first tree come first, and `random` gives them the same numbers.
  const AttentionGradients a = backward(ops, alone, 1);
  const AttentionGradients b = backward(ops, company, 3);
  for (const auto field :
       {&AttentionGradients::dq, &AttentionGradients::dk, &AttentionGradients::dv})
    require(
        std::memcmp((a.*field).data(), (b.*field).data(), (a.*field).size() * sizeof(float)) == 0,
        "bits");
}

// ---- sums over rows, AdamW ----------------------------------------------------------------------

void outer_unit(const GradientOps& ops, int64_t M, int64_t N, int64_t T, int threads) {
  const int64_t a_stride = M + 3, b_stride = N + 5;
  const auto a = random(T * a_stride, 1), b = random(T * b_stride, 2);
  std::vector<float> out = random(M * N, 3), want = out;
  ThreadPool pool(threads);
  ops.outer(out.data(), a.data(), a_stride, M, b.data(), b_stride, N, T, pool);
  for (int64_t m = 0; m < M; ++m)
    for (int64_t n = 0; n < N; ++n) {
      double sum = static_cast<double>(want[m * N + n]);
      for (int64_t t = 0; t < T; ++t)
        sum += static_cast<double>(a[t * a_stride + m]) * static_cast<double>(b[t * b_stride + n]);
      want[m * N + n] = static_cast<float>(sum);
    }
  require_all_close(out, want, "element");
}

void transpose_unit(const GradientOps& ops, int64_t T, int64_t N) {
  const auto x = random(T * N, 1);
  std::vector<float> y(T * N);
  ThreadPool pool(2);
  ops.transpose(y.data(), x.data(), T, N, pool);
  for (int64_t t = 0; t < T; ++t)
    for (int64_t n = 0; n < N; ++n) require(y[n * T + t] == x[t * N + n], "element");
}

/// Three steps against the formulas of the paper in double.
void adam_unit(const GradientOps& ops, int64_t count) {
  std::vector<float> w = random(count, 1), m(count), v(count);
  std::vector<double> want = wide(w), first(count), second(count);
  ThreadPool pool(2);
  for (int64_t step = 1; step <= 3; ++step) {
    const auto g = random(count, 10 + static_cast<uint32_t>(step));
    ops.adam(w.data(), m.data(), v.data(), g.data(), 0.5f, count,
             {1e-2f, 0.9f, 0.99f, 1e-8f, 0.1f, step}, pool);
    for (int64_t i = 0; i < count; ++i) {
      const double gradient = 0.5 * static_cast<double>(g[i]);
      first[i] = 0.9 * first[i] + 0.1 * gradient;
      second[i] = 0.99 * second[i] + 0.01 * gradient * gradient;
      const double mean = first[i] / (1 - std::pow(0.9, static_cast<double>(step)));
      const double square = second[i] / (1 - std::pow(0.99, static_cast<double>(step)));
      want[i] -= 1e-2 * 0.1 * want[i] + 1e-2 * mean / (std::sqrt(square) + 1e-8);
    }
  }
  require_all_close(w, std::vector<float>(want.begin(), want.end()), "parameter");
}

const AttentionShape kShapes[] = {
    {4, 2, 16, 0.25f, 0}, {2, 2, 8, 0.3f, 0}, {6, 2, 64, 0.125f, 0}, {3, 1, 40, 0.2f, 9}};

void unit(const GradientOps& ops) {
  const std::string name = std::string(ops.name) + " ";
  for (const int threads : {1, 3}) {
    const std::string on = " on " + std::to_string(threads) + " threads";
    for (const int64_t C : {5, 16, 67, 576})
      test::test(name + "norm " + std::to_string(C) + on, [&] { norm_unit(ops, 37, C, threads); });
    for (const int64_t count : {3, 40'000})
      test::test(name + "gated " + std::to_string(count) + on,
                 [&] { gated_unit(ops, count, threads); });
    for (const AttentionShape& shape : kShapes)
      for (const bool readout : {false, true})
        test::test(name + "attention D=" + std::to_string(shape.head_dim) + on,
                   [&] { attention_unit(ops, forest(shape, {1, 19, 70}, readout), threads); });
    for (const int64_t M : {1, 8, 12, 37})
      for (const int64_t N : {1, 32, 70})
        test::test(name + "outer " + std::to_string(M) + " x " + std::to_string(N) + on, [&] {
          outer_unit(ops, M, N, 29, threads);
          outer_unit(ops, M, N, 1, threads);
        });
  }
  for (const int64_t F : {5, 100, 128})
    test::test(name + "gated in company", [&] { gated_company(ops, 37, F); });
  for (const AttentionShape& shape : kShapes)
    test::test(name + "attention in company", [&] { attention_company(ops, shape); });
  for (const int64_t T : {1, 16, 50})
    for (const int64_t N : {3, 32, 41})
      test::test(name + "transpose", [&] { transpose_unit(ops, T, N); });
  test::test(name + "adam", [&] { adam_unit(ops, 20'000); });
}

}  // namespace

int main() {
  test::test("norm, differences", [] { norm_differences(3, 7); });
  test::test("gated, differences", [] { gated_differences(20); });
  for (const AttentionShape& shape :
       {AttentionShape{4, 2, 4, 0.5f, 0}, AttentionShape{2, 1, 6, 0.4f, 4}})
    for (const bool readout : {false, true})
      test::test("attention, differences",
                 [&] { attention_differences(forest(shape, {3, 5}, readout)); });
  unit(reference_gradients());
  const GradientOps* last = nullptr;
  for (const std::string& isa : instruction_sets()) {
    const GradientOps& ops = gradients_for(select_ops(isa.c_str()));
    if (&ops == last || &ops == &reference_gradients()) continue;
    unit(ops);
    last = &ops;
  }
  return test::finish();
}
