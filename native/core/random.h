// Counter-based random numbers (Philox 4x32-10, Salmon et al., SC 2011): a value is a pure function of (seed,
// stream, counter), so a rollout's draws do not depend on what else runs in the batch, and nothing has to be
// checkpointed.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "core/host_device.h"

namespace hdpo {

HDPO_HOST_DEVICE inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t stream, uint64_t counter) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0,
                   n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {c0, c1, c2, c3};
}

// Uniform in [0, 1), 24 bits: exactly representable in float32.
inline float uniform(uint64_t seed, uint64_t stream, uint64_t counter) {
  return static_cast<float>(philox(seed, stream, counter)[0] >> 8) * 0x1p-24f;
}

// A token's draw in [0, 1), from its sequence's seed and its position. It has 53 bits, because 24 would leave
// out rare tokens of a large vocabulary.
HDPO_HOST_DEVICE inline double samplingDraw(uint64_t seed, int64_t position) {
  constexpr uint64_t kSamplingStream = 0x73616d706c65;  // "sample"
  const auto bits = philox(seed, kSamplingStream, static_cast<uint64_t>(position));
  return (static_cast<double>(bits[0]) * 0x1p21 + static_cast<double>(bits[1] >> 11)) * 0x1p-53;
}

// A standard normal, by Box-Muller.
inline float normal(uint64_t seed, uint64_t stream, uint64_t counter) {
  const auto bits = philox(seed, stream, counter);
  const double u = (static_cast<double>(bits[0]) + 1.0) * 0x1p-32, v = static_cast<double>(bits[1]) * 0x1p-32;
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v));
}

}  // namespace hdpo
