// Sixteen float32 lanes as one value, through GCC's and Clang's vector extensions: one zmm register with
// AVX-512, two ymm with AVX2, four of NEON's. Kernels that block registers by hand are written with it;
// simple loops stay `#pragma omp simd`.
//
// Functions that take vectors by value are all inlined: the calling convention that GCC remarks on
// (-Wno-psabi in compile-flags.txt) is never used.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

namespace hdpo {

constexpr int64_t kLanes = 16;
typedef float Vector __attribute__((vector_size(64)));
typedef int32_t VectorInt __attribute__((vector_size(64)));

// How many Vectors side by side a register block holds without spilling: 4 x 4 accumulators fit AVX-512's 32
// registers.
#if defined(__AVX512F__)
constexpr int kVectorsPerBlock = 4;
#else
constexpr int kVectorsPerBlock = 1;
#endif

inline Vector load(const float* from) {
  Vector value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
// A value used several times: without this GCC would load it anew for every use, and loads are what limits
// these kernels.
template <class AnyVector>
inline void keepInRegister([[maybe_unused]] AnyVector& value) {
#if defined(__AVX512F__)
  asm("" : "+v"(value));
#endif
}
inline void store(float* to, Vector value) { std::memcpy(to, &value, sizeof(value)); }
inline Vector broadcast(float value) { return value - Vector{}; }
// The first `count` lanes; the others are 0.
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

// Loads one value of every cache line. Loads rather than prefetch instructions: those do not set the
// hardware's streams going (measured on Zen 5: attention 1.4 times as fast with these, 1.03 times with
// prefetches).
inline void touch(const float* from, int64_t count) {
  constexpr int64_t kLine = 64 / sizeof(float);
  for (int64_t i = 0; i < count; i += kLine) {
    int32_t bits;
    std::memcpy(&bits, from + i, sizeof(bits));
    asm volatile("" : : "r"(bits));
  }
}

// b where a is NaN.
inline Vector maximum(Vector a, Vector b) { return a > b ? a : b; }

// e^x lane by lane for x <= 0, within 2 ulp; 0 below -87.336 (no subnormal results), NaN for NaN. The method
// is that of vectorExp (core/vector_math.h), less what only large arguments need.
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

// Natural logarithm lane by lane of x >= 2^-126 and finite, within 2 ulp or 2^-24, whichever is more; NaN for
// NaN. x = 2^n m with m in [1/sqrt 2, sqrt 2), ln x = n ln 2 + ln m, and with t = (m - 1) / (m + 1) ln m = 2
// atanh t = 2 t + 2/3 t^3 ...
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

// Lane exchange of transpose: lanes whose index has the bit `distance` change places between the two rows.
template <int distance, bool high, size_t... lane>
inline Vector exchange(Vector a, Vector b, std::index_sequence<lane...>) {
  constexpr int bit = distance;
  return __builtin_shufflevector(
      a, b, ((lane & bit) ? (high ? 16 + lane : 16 + lane - bit) : (high ? lane + bit : lane))...);
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
}

// rows[i][j] <-> rows[j][i].
inline void transpose(Vector (&rows)[kLanes]) {
  exchangeRows<8>(rows);
  exchangeRows<4>(rows);
  exchangeRows<2>(rows);
  exchangeRows<1>(rows);
}

}  // namespace hdpo
