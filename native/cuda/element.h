// Elements of activations in kernels: float or BFloat16 in memory, float in registers, 16 bytes at a time.
#pragma once

#include "cuda/launch.h"

#if !defined(HDPO_CUDA_EMULATION)
#include <cuda_bf16.h>
#else
#include "core/float_formats.h"
#endif

namespace hdpo::cuda {

__device__ inline float toFloat(float value) { return value; }
__device__ inline float toFloat(BFloat16 value) {
  return __uint_as_float(static_cast<uint32_t>(value.bits) << 16);
}

template <typename T>
__device__ T fromFloat(float value);
template <>
__device__ inline float fromFloat<float>(float value) {
  return value;
}
// Rounds to nearest, ties to even.
template <>
__device__ inline BFloat16 fromFloat<BFloat16>(float value) {
#if defined(HDPO_CUDA_EMULATION)
  return {toBFloat16(value)};
#else
  return {__bfloat16_as_ushort(__float2bfloat16_rn(value))};
#endif
}

// Elements per 16-byte access.
template <typename T>
constexpr int kPack = 16 / static_cast<int>(sizeof(T));

template <typename T>
struct alignas(16) Pack {
  T values[kPack<T>];
};

template <typename T>
__device__ inline Pack<T> loadPack(const T* address) {
#if defined(HDPO_CUDA_EMULATION)
  emulation::requireAligned(address, sizeof(Pack<T>));
#endif
  return *reinterpret_cast<const Pack<T>*>(address);
}
template <typename T>
__device__ inline void storePack(T* address, const Pack<T>& pack) {
#if defined(HDPO_CUDA_EMULATION)
  emulation::requireAligned(address, sizeof(Pack<T>));
#endif
  *reinterpret_cast<Pack<T>*>(address) = pack;
}

// Whether rows of `columns` elements that begin at these addresses can be read in packs.
template <typename T, typename... Pointers>
inline bool inPacks(int64_t columns, const Pointers*... pointers) {
  return columns % kPack<T> == 0 && ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

}  // namespace hdpo::cuda
