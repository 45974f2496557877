#pragma once

// Products of tiles in shared memory by a warpgroup (four warps, 128 threads): wgmma of PTX, which names each register of the
// sums. Part of language.h.

namespace dmoerm::cuda {

// clang-format off
#define DMOERM_REGISTERS_0 \
  "%0, %1, %2, %3, %4, %5, %6, %7, " \
  "%8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31"
#define DMOERM_REGISTERS_32 \
  "%32, %33, %34, %35, %36, %37, %38, %39, " \
  "%40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, " \
  "%56, %57, %58, %59, %60, %61, %62, %63"
#define DMOERM_REGISTERS_64 \
  "%64, %65, %66, %67, %68, %69, %70, %71, " \
  "%72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, " \
  "%88, %89, %90, %91, %92, %93, %94, %95"
#define DMOERM_REGISTERS_96 \
  "%96, %97, %98, %99, %100, %101, %102, %103, " \
  "%104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, " \
  "%120, %121, %122, %123, %124, %125, %126, %127"
#define DMOERM_SUMS_8(i) \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define DMOERM_SUMS_32(i) \
  DMOERM_SUMS_8(i), DMOERM_SUMS_8(i + 8), DMOERM_SUMS_8(i + 16), DMOERM_SUMS_8(i + 24)
// clang-format on

/// d (64, kColumns) += x (64, 16) w (kColumns, 16)^T in bfloat16 with float32 sums. x and w are 32 bytes of each row of a tile,
/// from byte 32 * slice on. Of lane l of the group's warp v, d[4 j + 2 i + e] is row 16 v + 8 i + l / 4, column
/// 8 j + 2 (l % 4) + e. Runs on until `wait_products`.
template <int kColumns>
__device__ __forceinline__ void multiply_add_tiles(float (&d)[kColumns / 2],
                                                   const Shared<uint8_t>& memory, int x,
                                                   int x_slice, int w, int w_slice) {
  static_assert(kColumns == 64 || kColumns == 128 || kColumns == 256);
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  const uint64_t a = tile_descriptor(memory, x, x_slice), b = tile_descriptor(memory, w, w_slice);
  if constexpr (kColumns == 256)
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" DMOERM_REGISTERS_0
                 ", " DMOERM_REGISTERS_32 ", " DMOERM_REGISTERS_64 ", " DMOERM_REGISTERS_96
                 "}, "
                 "%128, %129, 1, 1, 1, 0, 0;\n"
                 : DMOERM_SUMS_32(0), DMOERM_SUMS_32(32), DMOERM_SUMS_32(64), DMOERM_SUMS_32(96)
                 : "l"(a), "l"(b));
  else if constexpr (kColumns == 128)
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" DMOERM_REGISTERS_0
                 ", " DMOERM_REGISTERS_32
                 "}, "
                 "%64, %65, 1, 1, 1, 0, 0;\n"
                 : DMOERM_SUMS_32(0), DMOERM_SUMS_32(32)
                 : "l"(a), "l"(b));
  else
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" DMOERM_REGISTERS_0
                 "}, "
                 "%32, %33, 1, 1, 1, 0, 0;\n"
                 : DMOERM_SUMS_32(0)
                 : "l"(a), "l"(b));
#endif
}

#undef DMOERM_REGISTERS_0
#undef DMOERM_REGISTERS_32
#undef DMOERM_REGISTERS_64
#undef DMOERM_REGISTERS_96
#undef DMOERM_SUMS_8
#undef DMOERM_SUMS_32

}  // namespace dmoerm::cuda
