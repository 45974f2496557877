#include "dmoerm/thread_pool.h"

#include <atomic>
#include <vector>

#include "check.h"

int main() {
  using dmoerm::ThreadPool;
  using dmoerm::test::require;
  for (const int threads : {1, 2, 3, 8})
    dmoerm::test::test("runs every index once on " + std::to_string(threads) + " threads", [&] {
      ThreadPool pool(threads);
      for (int round = 0; round < 2000; ++round) {
        const int64_t count = round % 97;
        std::vector<std::atomic<int>> hits(count);
        pool.run(count, [&](int64_t i, int thread) {
          require(thread >= 0 && thread < threads, "thread out of range");
          hits[i].fetch_add(1);
        });
        for (const auto& hit : hits)
          require(hit.load() == 1, "an index ran " + std::to_string(hit.load()) + " times");
      }
    });
  return dmoerm::test::finish();
}
