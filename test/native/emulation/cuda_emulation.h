// CUDA's execution model on the host, for tests: the kernels of native/cuda are compiled by the C++ compiler,
// and each thread is a fiber. Blocks and threads run one at a time in a random order (by seed) and change
// places at barriers, warp operations and atomics, so that code which depends on an order that nothing
// enforces comes out wrong in some run.
//   - A barrier that not all threads reach is an error (ERR_EMULATION), and so is a warp operation whose
//     lanes differ in mask.
//   - Shared memory is filled with NaN before each block; a write beyond its end is an error.
//   - cp.async copies become visible at the wait and not before.
//   - Accesses of several bytes at addresses that are no multiple of their size are errors: those of packs
//     and of copies here, all others by the compiler's -fsanitize=alignment, which ends the process.
// There is one device, and one host thread that uses it.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>

#include "core/error.h"
#include "cuda/types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace hdpo::emulation {

struct Indices {
  dim3 thread, block;
};
extern Indices indices;  // indices of the running thread
extern dim3 blockSize, gridSize;

// Sets the order of threads and blocks in the launches that follow.
void setSeed(uint64_t seed);
// While false, __syncthreads does nothing, for tests of the emulation itself.
void setBarriersWork(bool work);
uint64_t launches();  // so far
uint64_t blocks();    // blocks of these launches
// The action is called at the start of every launch: it runs what the stream has queued before it.
void setBeforeLaunch(std::function<void()> action);
// Gives work to the stream: it runs now or, where the stream is being recorded (`keep` is set), is kept.
void submit(std::function<void()> work);
void setKeep(std::function<void(std::function<void()>)> keep);

void runGrid(dim3 grid, dim3 block, size_t sharedBytes, const std::function<void()>& thread);
void* sharedMemory();
void syncThreads();
// At times, lets other threads run first.
void mayYield();

// Each lane of `mask` hands over `bytes` (at most 128) and gets everyone's: all[lane * 128].
const unsigned char* exchange(unsigned mask, const void* value, size_t bytes);
// To be called when the result of exchange has been read.
void endExchange(unsigned mask);
unsigned lane();

void requireAligned(const void* address, size_t bytes);
void copyLater(void* destination, const void* source, size_t bytes);  // null source: zeros
void commitCopies();
void waitForCopies(int groupsLeft);

constexpr size_t kLaneBytes = 128;

template <typename T>
T valueOf(const unsigned char* all, unsigned lane) {
  T value;
  std::memcpy(&value, all + lane * kLaneBytes, sizeof(T));
  return value;
}

template <typename T, typename SourceLane>
T shuffle(unsigned mask, T value, SourceLane sourceLane) {
  const unsigned char* all = exchange(mask, &value, sizeof(T));
  const int source = sourceLane(static_cast<int>(lane()));
  const bool valid = source >= 0 && source < 32 && (mask >> source & 1);
  const T result = valid ? valueOf<T>(all, static_cast<unsigned>(source)) : value;
  endExchange(mask);
  return result;
}

}  // namespace hdpo::emulation

#define threadIdx (::hdpo::emulation::indices.thread)
#define blockIdx (::hdpo::emulation::indices.block)
#define blockDim (::hdpo::emulation::blockSize)
#define gridDim (::hdpo::emulation::gridSize)

inline void __syncthreads() { hdpo::emulation::syncThreads(); }
inline void __threadfence() {}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  const char nothing = 0;
  hdpo::emulation::exchange(mask, &nothing, 1);
  hdpo::emulation::endExchange(mask);
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int source) {
  return hdpo::emulation::shuffle(mask, value, [=](int) { return source & 31; });
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int with) {
  return hdpo::emulation::shuffle(mask, value, [=](int lane) { return lane ^ with; });
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned by) {
  return hdpo::emulation::shuffle(mask, value, [=](int lane) { return lane - static_cast<int>(by); });
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned by) {
  return hdpo::emulation::shuffle(mask, value, [=](int lane) { return lane + static_cast<int>(by); });
}

inline unsigned __ballot_sync(unsigned mask, bool vote) {
  const unsigned char* all = hdpo::emulation::exchange(mask, &vote, 1);
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) && hdpo::emulation::valueOf<bool>(all, lane)) result |= 1u << lane;
  }
  hdpo::emulation::endExchange(mask);
  return result;
}
inline bool __any_sync(unsigned mask, bool vote) { return __ballot_sync(mask, vote) != 0; }
inline bool __all_sync(unsigned mask, bool vote) { return __ballot_sync(mask, vote) == mask; }
template <typename T>
unsigned __match_any_sync(unsigned mask, T value) {
  const unsigned char* all = hdpo::emulation::exchange(mask, &value, sizeof(T));
  unsigned result = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) && hdpo::emulation::valueOf<T>(all, lane) == value) result |= 1u << lane;
  }
  hdpo::emulation::endExchange(mask);
  return result;
}

template <typename T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  hdpo::emulation::mayYield();
  const T old = *address;
  *address = old + value;
  return old;
}
template <typename T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  hdpo::emulation::mayYield();
  const T old = *address;
  if (value > old) *address = value;
  return old;
}
template <typename T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  hdpo::emulation::mayYield();
  const T old = *address;
  if (value < old) *address = value;
  return old;
}
template <typename T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  hdpo::emulation::mayYield();
  const T old = *address;
  *address = old | value;
  return old;
}
template <typename T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  hdpo::emulation::mayYield();
  const T old = *address;
  *address = value;
  return old;
}
template <typename T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  hdpo::emulation::mayYield();
  const T old = *address;
  if (old == expected) *address = value;
  return old;
}

template <typename T>
T __ldg(const T* address) {
  return *address;
}
template <typename T>
T __ldcg(const T* address) {
  hdpo::emulation::mayYield();
  return *address;
}
template <typename T>
T __ldcs(const T* address) {
  return *address;
}
template <typename T>
void __stcs(T* address, T value) {
  *address = value;
}

inline int __popc(unsigned bits) { return std::popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __clz(int bits) { return std::countl_zero(static_cast<unsigned>(bits)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(uint64_t{a} * b >> 32); }
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline int __float_as_int(float value) { return std::bit_cast<int>(value); }
inline long long __double2ll_rn(double value) { return std::llrint(value); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline void sincospif(float x, float* sine, float* cosine) {
  *sine = static_cast<float>(std::sin(M_PI * double{x}));
  *cosine = static_cast<float>(std::cos(M_PI * double{x}));
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }

namespace hdpo::cuda {

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t sharedBytes, Stream,
            Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const std::tuple<std::decay_t<Parameters>...> given(static_cast<Parameters>(arguments)...);
  emulation::submit(
      [=] { emulation::runGrid(grid, block, sharedBytes, [&] { std::apply(kernel, given); }); });
}

inline void zeroBytes(void* destination, size_t bytes, Stream) {
  emulation::submit([=] { std::memset(destination, 0, bytes); });
}

template <typename T>
T* sharedMemory() {
  return static_cast<T*>(emulation::sharedMemory());
}

}  // namespace hdpo::cuda
