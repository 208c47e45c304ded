// Numerics that the compiler can vectorise: branch-free scalar functions for loops under `#pragma omp simd`.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "core/host_device.h"

namespace hdpo {

// e^x within 1.01 ulp (float32): 0 below -87.336 (no subnormal results), infinity above 88.722, NaN for NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2 and e^x = 2^n e^r, where e^r is a polynomial of degree 7 (minimax on
// that interval).
HDPO_HOST_DEVICE inline float vectorExp(float x) {
  constexpr float kLog2E = 1.44269504088896341f;
  // The high part has trailing zeros, so that whole * kLn2High is exact.
  constexpr float kLn2High = 0.693145751953125f, kLn2Low = 1.42860682030941723e-6f;
  // 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits.
  constexpr float kRound = 12582912.0f;
  constexpr float kLargest = 88.7228394f, kSmallest = -87.3365402f;
  const float bounded = x > 89.0f ? 89.0f : (x < -88.0f ? -88.0f : x);  // NaN stays
  const float shifted = bounded * kLog2E + kRound;
  const int32_t n = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const float whole = shifted - kRound;
  const float r = (bounded - whole * kLn2High) - whole * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r;
  // 2^n is applied in two factors, because n = 128 occurs and 2^128 is no float.
  const int32_t half = n >> 1, rest = n - half;
  const float first = std::bit_cast<float>(static_cast<uint32_t>(half + 127) << 23);
  const float second = std::bit_cast<float>(static_cast<uint32_t>(rest + 127) << 23);
  const float result = (p * first + first) * second;
  return x < kSmallest ? 0.0f : (x > kLargest ? std::numeric_limits<float>::infinity() : result);
}

// e^x within 1.03 ulp (float64) for x <= 709: 0 below -708 (no subnormal results), NaN for NaN. The reduction
// is the same, with e^r by its Taylor polynomial of degree 13 (truncation below 2^-58 on |r| <= ln 2 / 2).
inline double vectorExp(double x) {
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  const double bounded = x > 709.0 ? 709.0 : (x < -708.0 ? -708.0 : x);
  const double shifted = bounded * kLog2E + kRound;
  const int64_t n = std::bit_cast<int64_t>(shifted) - std::bit_cast<int64_t>(kRound);
  const double whole = shifted - kRound;
  const double r = (bounded - whole * kLn2High) - whole * kLn2Low;
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r * r + r;
  const double scale = std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52);
  return x < -708.0 ? 0.0 : p * scale + scale;
}

}  // namespace hdpo
