// The emulated CUDA device: it runs what is right, and sees what is wrong.

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "check.h"
#include "cuda/language.h"

namespace {

using namespace dmoerm;
using namespace dmoerm::cuda;
using emulated::Grid;
using emulated::Machine;
using test::require;

/// Device memory with a copy of `values`.
template <class T>
class Device {
 public:
  explicit Device(const std::vector<T>& values)
      : size_(static_cast<int64_t>(values.size())),
        data_(static_cast<T*>(Machine::instance().allocate(size_ * sizeof(T)))) {
    std::copy(values.begin(), values.end(), data_);
    Machine::instance().host_writes(data_, size_ * sizeof(T));
  }
  ~Device() { Machine::instance().free(data_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Global<T> array() const { return {data_, size_}; }
  const T& operator[](int64_t i) const { return data_[i]; }

 private:
  int64_t size_;
  T* data_;
};

/// What the launch was ended by; empty if it ran through. The same in several orders.
std::string fault_of(const Grid& grid, const std::function<void()>& kernel) {
  std::string found;
  for (uint32_t seed = 0; seed < 5; ++seed) {
    Machine::instance().shuffle(seed);
    std::string now;
    try {
      Machine::instance().launch("kernel", grid, kernel);
    } catch (const std::runtime_error& error) {
      now = error.what();
    }
    require(seed == 0 || now.empty() == found.empty(), "seen in some orders only: " + now + found);
    found = now;
  }
  return found;
}

void require_fault(const std::string& fault, const std::string& part) {
  require(fault.find(part) != std::string::npos, "found '" + fault + "' instead of '" + part + "'");
}

/// Each thread hands its number to its neighbour through shared memory.
void hand_on(const Global<int32_t>& out, bool first_barrier, bool second_barrier) {
  const Shared<int32_t> mail(0, blockDim.x);
  for (int round = 0; round < 2; ++round) {
    mail.store(threadIdx.x, static_cast<int32_t>(threadIdx.x) + round);
    if (first_barrier) __syncthreads();
    const int32_t got = mail.load((threadIdx.x + 1) % blockDim.x);
    if (second_barrier) __syncthreads();
    out.store(blockIdx.x * blockDim.x + threadIdx.x, got);
  }
}

void test_barriers() {
  const Device<int32_t> out(std::vector<int32_t>(192, -1));
  const Grid grid{{3, 1, 1}, 64, 256};
  require(fault_of(grid, [&] { hand_on(out.array(), true, true); }).empty(), "a fault");
  for (int i = 0; i < 192; ++i) require(out[i] == (i + 1) % 64 + 1, "element " + std::to_string(i));
}

void test_missing_barriers() {
  const Device<int32_t> out(std::vector<int32_t>(64, -1));
  const Grid grid{{1, 1, 1}, 64, 256};
  require_fault(fault_of(grid, [&] { hand_on(out.array(), false, true); }), "nobody wrote");
  require_fault(fault_of(grid, [&] { hand_on(out.array(), true, false); }), "a race");
}

void test_races() {
  const Device<int32_t> data(std::vector<int32_t>(64, 0));
  const auto one = [] { Shared<int32_t>(0, 1).store(0, 1); };
  require_fault(fault_of({{1, 1, 1}, 32, 4}, one), "write the same shared memory");
  require_fault(fault_of({{2, 1, 1}, 32, 0}, [&] { data.array().store(threadIdx.x, 1); }),
                "two blocks");
  require_fault(fault_of({{2, 1, 1}, 32, 0},
                         [&] {
                           if (blockIdx.x == 0)
                             data.array().store(threadIdx.x, 1);
                           else
                             data.array().load(threadIdx.x);
                         }),
                "a race");
}

void test_warp_order() {
  const auto swap = [](bool ordered) {
    const Shared<int32_t> mail(0, 32);
    mail.store(threadIdx.x, 1);
    if (ordered) __syncwarp();
    mail.load(threadIdx.x ^ 1);
  };
  require(fault_of({{1, 1, 1}, 32, 128}, [&] { swap(true); }).empty(), "a fault");
  require(!fault_of({{1, 1, 1}, 32, 128}, [&] { swap(false); }).empty(), "no fault");
}

void test_bounds() {
  const Device<float> data(std::vector<float>(8, 1.0f));
  const Grid grid{{1, 1, 1}, 32, 64};
  require_fault(fault_of(grid, [&] { data.array().load(threadIdx.x); }), "of an array of 8");
  require_fault(fault_of(grid, [&] { data.array().load(-1); }), "element -1");
  require_fault(fault_of(grid, [&] { (Global<float>{data.array().data, 32}).load(threadIdx.x); }),
                "outside device memory");
  require_fault(fault_of(grid, [&] { data.array().load_as<float4>(1); }), "unaligned");
  require_fault(fault_of(grid, [&] { Shared<float>(0, 16).store(threadIdx.x, 1); }),
                "of an array of 16 in shared memory");
  require_fault(fault_of(grid, [&] { Shared<float>(0, 17).store(0, 1); }), "outside the block's");
  require_fault(fault_of(grid, [&] { Shared<float>(0, 16).load(0); }), "nobody wrote");
}

void test_unwritten() {
  Machine& machine = Machine::instance();
  auto* memory = static_cast<float*>(machine.allocate(128));
  const Global<float> data{memory, 32};
  require_fault(fault_of({{1, 1, 1}, 32, 0}, [&] { data.load(threadIdx.x); }), "nobody wrote");
  require(fault_of({{1, 1, 1}, 32, 0}, [&] { data.store(threadIdx.x, 1.0f); }).empty(), "a fault");
  machine.free(memory);
}

void test_divergence() {
  const Grid grid{{1, 1, 1}, 64, 0};
  require_fault(fault_of(grid,
                         [] {
                           if (threadIdx.x != 5) __syncthreads();
                         }),
                "never come");
  require_fault(fault_of(grid,
                         [] {
                           if (threadIdx.x % 2 == 0)
                             __syncwarp();
                           else
                             __shfl_xor_sync(~0u, 1.0f, 1);
                         }),
                "part");
}

void test_copies() {
  std::vector<uint8_t> bytes(512);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7);
  const Device<uint8_t> from(bytes);
  const Device<uint8_t> to(std::vector<uint8_t>(512));
  const auto copy = [&](bool wait, bool barrier) {
    const Shared<uint8_t> memory(0, 512);
    copy_async(memory, threadIdx.x * 16, {from.array().data, 512}, threadIdx.x * 16,
               threadIdx.x != 3);
    commit_copies();
    if (wait) wait_copies<0>();
    if (barrier) __syncthreads();
    for (int i = 0; i < 16; ++i)
      to.array().store(i * 32 + threadIdx.x, memory.load(i * 32 + threadIdx.x));
    wait_copies<0>();
  };
  const Grid grid{{1, 1, 1}, 32, 512};
  require(fault_of(grid, [&] { copy(true, true); }).empty(), "a fault");
  for (int i = 0; i < 512; ++i)
    require(to[i] == (i / 16 == 3 ? 0 : bytes[i]), "byte " + std::to_string(i));
  require_fault(fault_of(grid, [&] { copy(false, true); }), "nobody has waited for");
  require(!fault_of(grid, [&] { copy(true, false); }).empty(), "no fault without a barrier");
}

/// a (16,16) b (8,16)^T from shared memory as kernels do it.
void test_matrices() {
  std::vector<uint16_t> a(256), b(128);
  const std::vector<float> numbers = test::random(384, 3);
  for (int i = 0; i < 256; ++i) a[i] = to_bf16(numbers[i]);
  for (int i = 0; i < 128; ++i) b[i] = to_bf16(numbers[256 + i]);
  const Device<uint16_t> from_a(a), from_b(b);
  const Device<float> out(std::vector<float>(128));
  require(fault_of({{1, 1, 1}, 32, 768},
                   [&] {
                     const Shared<uint16_t> fill(0, 384);
                     for (int i = threadIdx.x; i < 384; i += 32)
                       fill.store(i,
                                  i < 256 ? from_a.array().load(i) : from_b.array().load(i - 256));
                     __syncthreads();
                     const Shared<uint8_t> memory(0, 768);
                     const int lane = threadIdx.x;
                     uint32_t x[4], w[4];
                     load_matrices(x, memory, lane % 16 * 32 + lane / 16 * 16);
                     load_matrices(w, memory, 512 + lane % 8 * 32 + lane / 8 % 2 * 16);
                     float sum[4] = {1, 1, 1, 1};
                     multiply_add(sum, x, {w[0], w[1]});
                     for (int i = 0; i < 4; ++i)
                       out.array().store((lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2, sum[i]);
                   })
              .empty(),
          "a fault");
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 8; ++n) {
      double want = 1;
      for (int k = 0; k < 16; ++k)
        want += static_cast<double>(from_bf16(a[m * 16 + k])) * from_bf16(b[n * 16 + k]);
      test::require_close(out[m * 8 + n], want, 10, 1e-6, "sum");
    }
}

/// What a kernel that multiplies tiles as they come may forget.
struct Forgotten {
  bool publish = false, full = false, empty = false, handing_over = false, products = false,
       last_products = false, bytes = false;
};

constexpr int kTiles = 5, kTileSize = 64 * 128;  // of 64 rows, more of them than stages

/// out (64,64) = x w^T: a warpgroup multiplies tiles that one more warp has brought, two at a time.
void multiply_tiles(const Global<float>& out, const Global<const uint8_t>& x,
                    const Global<const uint8_t>& w, const Forgotten& forgotten) {
  const Shared<uint8_t> memory(0, 4 * kTileSize);
  const PhaseBarriers barriers(4 * kTileSize, 4);  // two full ones, two empty ones
  if (threadIdx.x == 0) {
    for (int i = 0; i < 4; ++i) barriers.initialise(i, i < 2 ? 1 : 4);
    if (!forgotten.publish) barriers.publish();
  }
  __syncthreads();
  const int lane = threadIdx.x % 32;
  if (threadIdx.x >= 128) {
    for (int tile = 0; lane == 0 && tile < kTiles; ++tile) {
      const int stage = tile % 2;
      if (tile >= 2 && !forgotten.empty) barriers.wait(2 + stage, (tile / 2 - 1) % 2);
      barriers.expect(stage, (forgotten.bytes ? 3 : 2) * kTileSize);
      barriers.copy(stage, memory, stage * 2 * kTileSize, x, tile * kTileSize, kTileSize);
      barriers.copy(stage, memory, (stage * 2 + 1) * kTileSize, w, tile * kTileSize, kTileSize);
    }
    return;
  }
  float sums[32] = {};
  for (int tile = 0; tile < kTiles; ++tile) {
    const int stage = tile % 2;
    if (!forgotten.full) barriers.wait(stage, tile / 2 % 2);
    if (!forgotten.handing_over) open_products();
    for (int slice = 0; slice < 4; ++slice)
      multiply_add_tiles<64>(sums, memory, stage * 2 * kTileSize, slice,
                             (stage * 2 + 1) * kTileSize, slice);
    close_products();
    if (!forgotten.products) wait_products<0>();
    if (lane == 0) barriers.arrive(2 + stage);
  }
  if (!forgotten.last_products) wait_products<0>();
  const int row = static_cast<int>(threadIdx.x) / 32 * 16 + lane / 4;
  for (int i = 0; i < 32; ++i)
    out.store((row + i / 2 % 2 * 8) * 64 + i / 4 * 8 + lane % 4 * 2 + i % 2, sums[i]);
}

void test_tiles() {
  constexpr int kWidth = kTiles * 64;  // elements of a row
  const std::vector<float> numbers = test::random(2 * 64 * kWidth, 4);
  std::vector<uint16_t> packed(numbers.size());  // x, then w
  for (int i = 0; i < 2 * 64 * kWidth; ++i) {
    const int of = i / (64 * kWidth), row = i / kWidth % 64, column = i % kWidth;
    const int chunk = column % 64 / 8 ^ row % 8;
    packed[of * 64 * kWidth + (column / 64 * 64 + row) * 64 + chunk * 8 + column % 8] =
        to_bf16(numbers[i]);
  }
  const Device<uint16_t> rows(packed);
  const auto* bytes = reinterpret_cast<const uint8_t*>(rows.array().data);
  const Device<float> out(std::vector<float>(64 * 64));
  const auto run = [&](const Forgotten& forgotten) {
    return fault_of({{1, 1, 1}, 160, 4 * kTileSize + 32}, [&] {
      multiply_tiles(out.array(), {bytes, 64 * kWidth * 2},
                     {bytes + 64 * kWidth * 2, 64 * kWidth * 2}, forgotten);
    });
  };
  require(run({}).empty(), "a fault");
  for (int m = 0; m < 64; ++m)
    for (int n = 0; n < 64; ++n) {
      double want = 0;
      for (int k = 0; k < kWidth; ++k)
        want += static_cast<double>(from_bf16(to_bf16(numbers[m * kWidth + k]))) *
                from_bf16(to_bf16(numbers[(64 + n) * kWidth + k]));
      test::require_close(out[m * 64 + n], want, 10, 1e-5, "sum");
    }
  Forgotten one;
  const auto without = [&](bool Forgotten::* what, const std::string& part) {
    one = {};
    one.*what = true;
    require_fault(run(one), part);
  };
  without(&Forgotten::publish, "not known to all");
  without(&Forgotten::handing_over, "handed over");
  without(&Forgotten::products, "products still read");
  without(&Forgotten::bytes, "never come");
  // Seen by whoever comes first.
  for (bool Forgotten::* what : {&Forgotten::full, &Forgotten::empty}) {
    one = {};
    one.*what = true;
    require(!run(one).empty(), "a stage that nobody waits for is not seen");
  }
  one = {};
  one.products = one.last_products = one.empty = true;
  require(!run(one).empty(), "products that nobody waits for are not seen");
}

}  // namespace

int main() {
  test::test("barriers order shared memory", test_barriers);
  test::test("a missing barrier is seen", test_missing_barriers);
  test::test("races are seen", test_races);
  test::test("__syncwarp orders a warp", test_warp_order);
  test::test("accesses outside an array are seen", test_bounds);
  test::test("unwritten device memory is seen", test_unwritten);
  test::test("divergence is seen", test_divergence);
  test::test("asynchronous copies", test_copies);
  test::test("ldmatrix and mma", test_matrices);
  test::test("tiles that come while others are multiplied", test_tiles);
  return test::finish();
}
