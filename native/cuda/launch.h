// Launches kernels and reaches their shared memory. Kernel files include this first and keep to what the
// tests' host emulation (test/native/emulation/cuda_emulation.h) knows too: launches by launch(), shared
// memory by sharedMemory(), no triple angle brackets.
#pragma once

#include "cuda/types.h"

#if defined(HDPO_CUDA_EMULATION)
#include "cuda_emulation.h"
#else

#include <cuda_runtime.h>
#include <cxxabi.h>

#include <cstdlib>
#include <string>

#include "core/error.h"

namespace hdpo::cuda {

// Throws ERR_CUDA naming what was called.
inline void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  throw Error("ERR_CUDA", std::string(call) + ": " + cudaGetErrorString(status));
}

inline std::string kernelName([[maybe_unused]] const void* kernel) {
#if CUDART_VERSION < 12030
  return "a kernel";
#else
  const char* mangled = nullptr;
  if (cudaFuncGetName(&mangled, kernel) != cudaSuccess) return "a kernel";
  int status = 0;
  char* plain = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  const std::string name = plain ? plain : mangled;
  std::free(plain);
  return name;
#endif
}

// Shared memory that a launch may use without asking for more.
constexpr size_t kDefaultSharedBytes = size_t{48} << 10;

// Never waits for the device. A grid without blocks launches nothing.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t sharedBytes, Stream stream,
            Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const auto* function = reinterpret_cast<const void*>(kernel);
  cudaError_t status = cudaSuccess;
  if (sharedBytes > kDefaultSharedBytes) {
    status = cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(sharedBytes));
  }
  if (status == cudaSuccess) {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = sharedBytes;
    config.stream = stream;
    status = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  }
  if (status != cudaSuccess) check(status, kernelName(function).c_str());
}

inline void zeroBytes(void* destination, size_t bytes, Stream stream) {
  if (bytes > 0) check(cudaMemsetAsync(destination, 0, bytes, stream), "cudaMemsetAsync");
}

// The block's dynamic shared memory, 16-byte aligned. A kernel has no other.
template <typename T>
__device__ inline T* sharedMemory() {
  extern __shared__ uint4 hdpoSharedMemory[];
  return reinterpret_cast<T*>(hdpoSharedMemory);
}

}  // namespace hdpo::cuda

#endif

namespace hdpo::cuda {

// How many blocks of `size` cover `count`.
constexpr int64_t blocksOf(int64_t count, int64_t size) { return (count + size - 1) / size; }

}  // namespace hdpo::cuda
