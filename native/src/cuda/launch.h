#pragma once

#include "language.h"
#include "runtime.h"

namespace dmoerm::cuda {

/// Blocks that cover `count` elements.
inline uint32_t blocks(int64_t count, int64_t per_block) {
  return static_cast<uint32_t>((count + per_block - 1) / per_block);
}

/// Queues `kernel` with its arguments.
template <class Arguments>
void launch(const char* name, void (*kernel)(Arguments), const Grid& grid, Arguments arguments,
            runtime::Stream stream) {
#ifdef __CUDACC__
  runtime::launch(name, reinterpret_cast<const void*>(kernel), grid, &arguments, stream);
#else
  (void)stream;  // the emulated device has done a launch when it returns
  emulated::Machine::instance().launch(name, {{grid.x, grid.y, 1}, grid.threads, grid.shared_bytes},
                                       [&] { kernel(arguments); });
#endif
}

}  // namespace dmoerm::cuda
