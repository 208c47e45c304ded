// Sums and maxima over a warp and a block, in a fixed order; every thread gets the result.
#pragma once

#include "cuda/launch.h"

namespace hdpo::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

struct Sum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
// The largest of all, or NaN where one is NaN.
struct Largest {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

template <typename Operation, typename T>
__device__ inline T warpReduce(T value, Operation operation) {
#pragma unroll
  for (int with = kWarp / 2; with > 0; with /= 2)
    value = operation(value, __shfl_xor_sync(kAllLanes, value, with));
  return value;
}
template <typename T>
__device__ inline T warpSum(T value) {
  return warpReduce(value, Sum());
}

// Sums over `lanes` neighbouring lanes, a power of two; the whole warp takes part.
__device__ inline float groupSum(float value, int lanes) {
  for (int with = lanes / 2; with > 0; with /= 2) value += __shfl_xor_sync(kAllLanes, value, with);
  return value;
}

// scratch: shared memory for one T per warp. The block is a whole number of warps, and all of it takes part.
template <typename Operation, typename T>
__device__ inline T blockReduce(T value, T* scratch, Operation operation) {
  value = warpReduce(value, operation);
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  if (warps == 1) return value;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  T result = scratch[0];
  for (int w = 1; w < warps; ++w) result = operation(result, scratch[w]);
  __syncthreads();  // the scratch may be used again
  return result;
}
template <typename T>
__device__ inline T blockSum(T value, T* scratch) {
  return blockReduce(value, scratch, Sum());
}

}  // namespace hdpo::cuda
