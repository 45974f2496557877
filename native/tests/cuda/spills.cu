// Negative control of the check on spills: more values alive at once than a thread may have registers for.

__global__ void __launch_bounds__(1024, 2) spills(const float* from, float* to) {
  float values[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) values[i] = from[i * 1024 + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 64; ++i) to[i * 1024 + threadIdx.x] = values[i] * values[(i * 7 + 3) % 64];
}
