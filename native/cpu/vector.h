// As many float32 lanes as one register holds, as one value, through GCC's and Clang's vector extensions: a
// zmm with AVX-512, a ymm with AVX2, an xmm or NEON's register elsewhere. A Vector is never wider than a
// register: GCC takes operations on wider ones apart in memory, on the stack, at a fifth of the speed.
// Kernels that block registers by hand are written with it; simple loops stay `#pragma omp simd`.
//
// Functions that take vectors by value are all inlined: the calling convention that GCC remarks on
// (-Wno-psabi in compile-flags.txt) is never used.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace hdpo {

#if defined(__AVX512F__)
constexpr int64_t kVectorBytes = 64;
constexpr int kVectorRegisters = 32;
#elif defined(__AVX2__)
constexpr int64_t kVectorBytes = 32;
constexpr int kVectorRegisters = 16;
#else
constexpr int64_t kVectorBytes = 16;
constexpr int kVectorRegisters = 16;
#endif

constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(float));
typedef float Vector __attribute__((vector_size(kVectorBytes)));
typedef int32_t VectorInt __attribute__((vector_size(kVectorBytes)));

// How many Vectors side by side a register block holds without spilling: 4 x 4 accumulators fit 32 registers,
// 6 x 2 fit 16.
constexpr int kVectorsPerBlock = kVectorRegisters >= 32 ? 4 : 2;

// Calls work(n), where n is `count` (from 1 to kMost) as a compile-time constant.
template <int kMost, class Work>
inline void withConstant(int64_t count, const Work& work) {
  if constexpr (kMost > 1) {
    if (count < kMost) return withConstant<kMost - 1>(count, work);
  }
  work(std::integral_constant<int, kMost>());
}

// The same in memory, at any address. Read vectors through these and not by memcpy to a variable, which GCC
// at times leaves on the stack.
typedef float VectorInMemory __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
typedef int32_t VectorIntInMemory __attribute__((vector_size(kVectorBytes), aligned(1), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const VectorInMemory*>(from); }
inline VectorInt loadBits(const void* from) { return *static_cast<const VectorIntInMemory*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<VectorInMemory*>(to) = value; }
// Keeps a value that is used several times in a register. Without this GCC would load it anew for every use,
// and loads are what limits these kernels.
template <class AnyVector>
inline void keepInRegister([[maybe_unused]] AnyVector& value) {
#if defined(__AVX512F__)
  asm("" : "+v"(value));
#elif defined(__SSE2__)
  asm("" : "+x"(value));
#endif
}
inline Vector broadcast(float value) { return value - Vector{}; }
// Loads the first `count` lanes; the others are 0.
inline Vector loadPartial(const float* from, int64_t count) {
  if (count == kLanes) return load(from);
  Vector value{};
  std::memcpy(&value, from, static_cast<size_t>(count) * sizeof(float));
  return value;
}
inline void storePartial(float* to, Vector value, int64_t count) {
  if (count == kLanes) return store(to, value);
  std::memcpy(to, &value, static_cast<size_t>(count) * sizeof(float));
}

// Loads one value of every cache line. It loads rather than prefetches, because prefetch instructions do not
// start the hardware's streams (measured on Zen 5: attention is 1.4 times as fast with these, 1.03 times with
// prefetches).
inline void touch(const float* from, int64_t count) {
  constexpr int64_t kLine = 64 / sizeof(float);
  for (int64_t i = 0; i < count; i += kLine) {
    int32_t bits;
    std::memcpy(&bits, from + i, sizeof(bits));
    asm volatile("" : : "r"(bits));
  }
}

// The larger, lane by lane; b where a is NaN.
inline Vector maximum(Vector a, Vector b) { return a > b ? a : b; }

// e^x lane by lane for x <= 0, within 2 ulp: 0 below -87.336 (no subnormal results), NaN for NaN. The method
// is that of vectorExp (core/vector_math.h) without what only large arguments need.
inline Vector exponentialOfNegative(Vector x) {
  constexpr float kLog2E = 1.44269504088896341f;
  constexpr float kLn2High = 0.693145751953125f, kLn2Low = 1.42860682030941723e-6f;
  constexpr float kRound =
      12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits
  const Vector smallest = broadcast(-87.3365402f);
  const Vector bounded = x < smallest ? smallest : x;  // NaN stays
  const Vector shifted = bounded * kLog2E + kRound;
  const Vector whole = shifted - kRound;
  const Vector r = (bounded - whole * kLn2High) - whole * kLn2Low;
  Vector p = r * 1.38319808e-3f + 8.37511395e-3f;
  p = p * r + 4.16682712e-2f;
  p = p * r + 1.66664947e-1f;
  p = p * r + 4.99999857e-1f;
  p = p * r * r + r;
  const VectorInt n = reinterpret_cast<VectorInt>(shifted) - 0x4B400000;
  const Vector power = reinterpret_cast<Vector>((n + 127) << 23);
  return x < smallest ? Vector{} : p * power + power;
}

// Natural logarithm lane by lane, for finite x >= 2^-126, within 2 ulp or 2^-24, whichever is more; NaN for
// NaN. With x = 2^n m, m in [1/sqrt 2, sqrt 2) and t = (m - 1) / (m + 1):
//   ln x = n ln 2 + ln m
//   ln m = 2 atanh t = 2 t + 2/3 t^3 + ...
inline Vector logarithm(Vector x) {
  constexpr float kLn2High = 0.693145751953125f, kLn2Low = 1.42860682030941723e-6f;
  constexpr int32_t kRootHalf = 0x3F3504F3;  // bits of 1 / sqrt 2
  const VectorInt bits = reinterpret_cast<VectorInt>(x), n = (bits - kRootHalf) >> 23;
  const Vector m = reinterpret_cast<Vector>(bits - (n << 23)), exponent = __builtin_convertvector(n, Vector);
  const Vector t = (m - 1.0f) / (m + 1.0f), square = t * t;
  const Vector series =
      square * (square * (square * (square * 0.222222222f + 0.285714286f) + 0.4f) + 0.666666667f);
  const Vector result = exponent * kLn2High + (exponent * kLn2Low + t * series + 2.0f * t);
  return x == x ? result : x;
}

// Lane exchange for transpose: lanes whose index has the bit `distance` change places between the two rows.
template <int distance, bool high, size_t... lane>
inline Vector exchange(Vector a, Vector b, std::index_sequence<lane...>) {
  constexpr int bit = distance, other = kLanes;
  return __builtin_shufflevector(
      a, b, ((lane & bit) ? (high ? other + lane : other + lane - bit) : (high ? lane + bit : lane))...);
}
template <int distance>
inline void exchangeRows(Vector (&rows)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & distance) continue;
    const Vector a = rows[i], b = rows[i + distance];
    rows[i] = exchange<distance, false>(a, b, std::make_index_sequence<kLanes>());
    rows[i + distance] = exchange<distance, true>(a, b, std::make_index_sequence<kLanes>());
  }
  if constexpr (distance > 1) exchangeRows<distance / 2>(rows);
}

// Exchanges rows[i][j] and rows[j][i].
inline void transpose(Vector (&rows)[kLanes]) { exchangeRows<kLanes / 2>(rows); }

}  // namespace hdpo
