// Every op of training on the device against the CPU's plain loops, over ragged shapes, and rows alone against the same
// rows in company.

#include <functional>

#include "dmoerm/gradient_ops.h"
#include "forest.h"
#include "gpu.h"

namespace {

using namespace dmoerm;
using test::cpu_pool;
using test::Forest;
using test::forest;
using test::gpu;
using test::random;
using test::require;
using test::require_all_close;
using test::require_same_bits;

constexpr double kTolerance = 1e-5;

const GradientOps& device() { return *cuda::find_gradients(); }

using Operands = std::vector<std::vector<float>>;
/// Calls an op of a table, operands being where its pool has them.
using Call = std::function<void(const GradientOps&, ThreadPool&, const std::vector<float*>&)>;

/// All operands after a call on the device.
Operands after(Operands operands, const Call& call) {
  std::vector<Buffer<float>> there;
  std::vector<float*> pointers;
  for (const std::vector<float>& one : operands) {
    there.push_back(gpu().upload(one));
    pointers.push_back(there.back().data());
  }
  call(device(), gpu().pool, pointers);
  for (size_t i = 0; i < operands.size(); ++i)
    operands[i] = gpu().download(there[i], static_cast<int64_t>(operands[i].size()));
  return operands;
}

/// A call leaves what the plain loops leave.
void matches(const Operands& operands, const Call& call, double tolerance = kTolerance) {
  Operands want = operands;
  std::vector<float*> pointers;
  for (std::vector<float>& one : want) pointers.push_back(one.data());
  call(reference_gradients(), cpu_pool(), pointers);
  const Operands got = after(operands, call);
  for (size_t i = 0; i < want.size(); ++i) require_all_close(got[i], want[i], tolerance);
}

void norm_matches(int64_t T, int64_t C, bool weight) {
  matches({random(T * C, 1), random(C, 2), random(T * C, 3), random(T * C, 4), random(C, 5)},
          [&](const GradientOps& ops, ThreadPool& pool, const std::vector<float*>& o) {
            ops.rms_norm(o[0], weight ? o[1] : nullptr, o[2], o[3], o[4], T, C, 1e-5f,
                         gpu().scratch, pool);
          });
}

void gated_matches(int64_t T, int64_t F) {
  matches({random(T * F, 1, 3), random(T * F, 2), random(T * F, 3), random(T * F, 4)},
          [&](const GradientOps& ops, ThreadPool& pool, const std::vector<float*>& o) {
            ops.gated(o[3], o[0], o[1], T, F, pool);
            ops.gated_backward(o[0], o[1], o[2], T, F, pool);
          });
}

Operands attention_operands(const Forest& f) {
  const int64_t q = f.queries() * f.shape.heads * f.shape.head_dim;
  const int64_t k = f.rows * f.shape.kv_heads * f.shape.head_dim;
  return {random(q, 1),          random(k, 2),          random(k, 3),         random(q, 4),
          std::vector<float>(q), std::vector<float>(k), std::vector<float>(k)};
}

Call backward(const Forest& f) {
  return [f](const GradientOps& ops, ThreadPool& pool, const std::vector<float*>& o) {
    ops.attention(o[4], o[5], o[6], o[3], o[0], o[1], o[2], f.queries(), f.rows, f.frozen,
                  f.segments, f.shape, gpu().scratch, pool);
  };
}

/// The first tree alone has the bits that it has in company.
void attention_company(const AttentionShape& shape, int64_t length) {
  const Forest alone = forest(shape, {length}, false),
               company = forest(shape, {length, 50, 7}, false);
  // Rows of the first tree come first, and `random` gives them the same numbers.
  const Operands a = after(attention_operands(alone), backward(alone));
  const Operands b = after(attention_operands(company), backward(company));
  for (const int64_t i : {4, 5, 6})
    require_same_bits(a[i].data(), b[i].data(), static_cast<int64_t>(a[i].size()),
                      "company changed a derivative");
}

void outer_matches(int64_t M, int64_t N, int64_t T) {
  const int64_t a_stride = M + 3, b_stride = N + 5;
  matches({random(M * N, 1), random(T * a_stride, 2), random(T * b_stride, 3)},
          [&](const GradientOps& ops, ThreadPool& pool, const std::vector<float*>& o) {
            ops.outer(o[0], o[1], a_stride, M, o[2], b_stride, N, T, pool);
          });
}

void rows_match(int64_t T, int64_t N) {
  std::vector<int64_t> rows;
  std::vector<RowDropout> drops;
  for (int64_t t = 0; t < T; ++t) {
    rows.push_back(t * t % 7);
    drops.push_back({static_cast<uint32_t>(t * 77777), t % 3 == 0 ? 0 : 1u << 31, 1.5f});
  }
  matches({random(T * N, 1), random(T * N, 2), random(7 * N, 3), random(N, 4), random(T * N, 5)},
          [&](const GradientOps& ops, ThreadPool& pool, const std::vector<float*>& o) {
            ops.sum_rows(o[3], o[0], T, N, pool);
            ops.scatter_add(o[2], 7, o[0], rows, N, pool);
            ops.transpose(o[1], o[0], T, N, pool);
            ops.drop_out(o[4], o[0], drops, N, pool);
            ops.add(o[4], o[1], T * N, pool);
            ops.scale(o[4], 0.3f, T * N, pool);
            ops.clear(o[1], T * N / 2, pool);
            ops.copy(o[0], o[4], T * N / 2, pool);
          });
}

void token_logprobs_match(int64_t V) {
  const std::vector<int32_t> targets{0, static_cast<int32_t>(V / 2), static_cast<int32_t>(V - 1)};
  const std::vector<float> weights{1, -0.5f, 0.25f};
  std::vector<std::vector<double>> logprobs;
  matches({random(3 * V, 1, 4)},
          [&](const GradientOps& ops, ThreadPool& pool, const std::vector<float*>& o) {
            logprobs.push_back(ops.token_logprobs(o[0], V, targets, weights, pool));
          });
  for (size_t t = 0; t < targets.size(); ++t)
    test::require_close(logprobs[1][t], logprobs[0][t], 1, kTolerance, "log-probability");
}

void squares_match(int64_t count) {
  std::vector<std::vector<double>> sums;
  matches({random(count, 1)},
          [&](const GradientOps& ops, ThreadPool& pool, const std::vector<float*>& o) {
            sums.push_back(ops.squares(o[0], count, pool));
          });
  require(sums[0].size() == sums[1].size(), "blocks");
  for (size_t i = 0; i < sums[0].size(); ++i)
    test::require_close(sums[1][i], sums[0][i], sums[0][i], 1e-12, "sum");
}

void adam_matches(int64_t count) {
  matches(
      {random(count, 1), random(count, 2, 0.1f), std::vector<float>(count, 0.3f), random(count, 3)},
      [&](const GradientOps& ops, ThreadPool& pool, const std::vector<float*>& o) {
        for (int64_t step = 1; step <= 2; ++step)
          ops.adam(o[0], o[1], o[2], o[3], 0.5f, count, {1e-2f, 0.9f, 0.99f, 1e-8f, 0.1f, step},
                   pool);
      });
}

const AttentionShape kShapes[] = {{4, 2, 16, 0.25f, 0},
                                  {6, 2, 64, 0.125f, 0},
                                  {3, 1, 40, 0.2f, 9},
                                  {2, 1, 128, 0.1f, 0},
                                  {2, 2, 200, 0.07f, 5}};

}  // namespace

int main(int argc, char** argv) {
  if (cuda::find_gradients() == nullptr) {
    std::printf("no GPU: not run (%s)\n", cuda::describe().c_str());
    return EXIT_SUCCESS;
  }
  for (const int64_t C : {5, 67, 576})
    for (const bool weight : {false, true})
      test::test("norm " + std::to_string(C), [&] { norm_matches(37, C, weight); });
  test::test("norm, more rows than a chunk", [] { norm_matches(1100, 5, true); });
  test::test("gated", [] { gated_matches(7, 100); });
  for (const AttentionShape& shape : kShapes) {
    const std::string name = "attention D=" + std::to_string(shape.head_dim);
    for (const bool readout : {false, true})
      test::test(name, [&] {
        const Forest f = forest(shape, {1, 19, 70}, readout);
        matches(attention_operands(f), backward(f));
      });
    test::test(name + " in company", [&] { attention_company(shape, 21); });
  }
  // A prompt's keys are seen by so many queries that their sums come in parts.
  test::test("attention, more queries than a part", [] {
    const AttentionShape shape{1, 1, 8, 0.35f, 0};
    const Forest f = forest(shape, {400}, false);
    matches(attention_operands(f), backward(f));
    attention_company(shape, 400);
  });
  for (const int64_t M : {1, 32, 37})
    for (const int64_t N : {1, 64, 70})
      test::test("outer " + std::to_string(M) + " x " + std::to_string(N), [&] {
        outer_matches(M, N, 29);
        outer_matches(M, N, 1);
      });
  test::test("outer, more rows than a chunk", [] { outer_matches(3, 5, 1100); });
  for (const int64_t N : {1, 32, 41})
    test::test("rows " + std::to_string(N), [&] { rows_match(50, N); });
  for (const int64_t V : {3, 1000})
    test::test("token logprobs " + std::to_string(V), [&] { token_logprobs_match(V); });
  test::test("squares", [] { squares_match(2 * kSquaresBlock + 77); });
  test::test("adam", [] { adam_matches(1000); });
  if (argc > 1 && std::string(argv[1]) == "--launches") test::print_launches();
  return test::finish();
}
