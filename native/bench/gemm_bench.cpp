// Matrix products of this machine's widest unit against the machine's own peak and, where it was there at
// build time, against oneDNN, in turns. Prints JSON lines: the peaks as records, then for each product the
// shares of the peak (onednn_share 0: absent). `npm run bench -- gemm` makes tables of them.
//
// gemm_bench [--quick] [--peak] [--threads N] [--isa NAME] [--rounds N]
//   --peak   the machine's peaks only

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "dmoerm/ops.h"
#include "onednn_peer.h"
#include "peak.h"

namespace {

using namespace dmoerm;

struct Options {
  bool quick = false;
  bool peak_only = false;
  int rounds = 0;  ///< 0: 11, or 5 if quick
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::string isa = "auto";
};

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<float> random(int64_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(generator);
  return values;
}

/// One product as the engine runs it; rows are packed already, as the ops before it leave them.
class Own {
 public:
  Own(const Ops& ops, ThreadPool& pool, WeightType type, int64_t M, int64_t N, int64_t K)
      : ops_(ops), pool_(pool), N_(N), y_(M * N) {
    std::fill(y_.data(), y_.data() + M * N, 0.0f);
    for (int64_t row = 0; row < M; row += ops.panel_rows)
      panels_.push_back(
          {row, std::min(ops.panel_rows, M - row), 0, static_cast<int64_t>(panels_.size())});
    ops.pack_rows(x_, ops.row_type(type), random(M * K, 1).data(), K, panels_, 0, count(), {},
                  scratch_, pool);
    ops.pack_matrix(w_, random(N * K, 2).data(), N, K, type, pool);
  }

  void run() {
    ops_.linear(y_.data(), {&panels_, 0, count(), &x_, &w_, nullptr, N_, nullptr, nullptr}, false,
                scratch_, pool_);
  }

 private:
  int64_t count() const { return static_cast<int64_t>(panels_.size()); }

  const Ops& ops_;
  ThreadPool& pool_;
  int64_t N_;
  Buffer<float> y_;
  std::vector<Panel> panels_;
  PackedRows x_;
  Matrix w_;
  Scratch scratch_;
};

/// Shares of the peak, medians of rounds in which the peak's loop, our product and the peer's take turns: a machine's
/// clock moves while others use it too.
struct Shares {
  double own = 0;
  double peer = 0;  ///< 0 without one
};

Shares measure(Own& own, bench::OnednnPeer* peer, const bench::PeakLoop& peak, int threads,
               double operations, int rounds) {
  const double expected = operations / peak.rate(threads);
  const auto repeats = static_cast<int>(std::clamp(0.04 / expected, 1.0, 1e4));
  std::vector<double> own_shares, peer_shares;
  for (int round = -1; round < rounds; ++round) {
    // The peer's threads spin for a while after their work.
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    const double rate = peak.rate(threads);
    const auto share = [&](const std::function<void()>& work) {
      const double taken = seconds([&] {
        for (int i = 0; i < repeats; ++i) work();
      });
      return operations * repeats / taken / rate;
    };
    const double mine = share([&] { own.run(); });
    const double theirs = peer == nullptr ? 0 : share([&] { peer->run(); });
    if (round < 0) continue;  // warm-up
    own_shares.push_back(mine);
    peer_shares.push_back(theirs);
  }
  return {median(own_shares), median(peer_shares)};
}

void run(const Options& options) {
  const Ops& ops = select_ops(options.isa.c_str());
  const std::vector<bench::PeakLoop> peaks = bench::peak_loops();
  for (const bench::PeakLoop& peak : peaks)
    std::printf(
        "{\"bench\":\"peak\",\"case\":\"%s %d threads, "
        "%s\",\"metric\":\"peak\",\"unit\":\"G/s\",\"value\":%.1f}\n",
        peak.type, options.threads, peak.instruction, peak.best_rate(options.threads) / 1e9);
  if (options.peak_only) return;

  ThreadPool pool(options.threads);
  const std::pair<int64_t, int64_t> shapes[] = {{896, 896}, {4864, 896}, {896, 4864}, {2048, 2048}};
  const std::vector<int64_t> heights =
      options.quick ? std::vector<int64_t>{128, 512} : std::vector<int64_t>{12, 64, 128, 512, 2048};
  const std::pair<const char*, WeightType> types[] = {
      {"f32", WeightType::kF32}, {"bf16", WeightType::kBF16}, {"int8", WeightType::kInt8}};
  for (const auto& [label, type] : types) {
    const auto peak = std::find_if(peaks.begin(), peaks.end(), [&](const auto& each) {
      return label == std::string(each.type);
    });
    if (peak == peaks.end()) continue;
    for (const auto& [N, K] : shapes)
      for (const int64_t M : heights) {
        Own own(ops, pool, type, M, N, K);
        const auto peer = bench::make_onednn_peer(label, M, N, K, options.threads);
        const Shares shares =
            measure(own, peer.get(), *peak, options.threads, 2.0 * static_cast<double>(M * N * K),
                    options.rounds > 0 ? options.rounds
                    : options.quick    ? 5
                                       : 11);
        std::printf(
            "{\"type\":\"%s\",\"M\":%lld,\"N\":%lld,\"K\":%lld,\"isa\":\"%s\",\"share\":%.4f,"
            "\"onednn_share\":%.4f}\n",
            label, static_cast<long long>(M), static_cast<long long>(N), static_cast<long long>(K),
            ops.name, shares.own, shares.peer);
        std::fflush(stdout);
      }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--quick") {
      options.quick = true;
    } else if (flag == "--peak") {
      options.peak_only = true;
    } else if (flag == "--threads" && i + 1 < argc) {
      options.threads = std::atoi(argv[++i]);
    } else if (flag == "--rounds" && i + 1 < argc) {
      options.rounds = std::atoi(argv[++i]);
    } else if (flag == "--isa" && i + 1 < argc) {
      options.isa = argv[++i];
    } else {
      std::fprintf(
          stderr, "usage: gemm_bench [--quick] [--peak] [--threads N] [--isa NAME] [--rounds N]\n");
      return 2;
    }
  }
  run(options);
}
