// Rollouts for the tests of grouped advantages, on every backend.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/random.h"

namespace hdpo {

struct Rollouts {
  std::vector<int32_t> groupIds;
  std::vector<float> accuracyRewards;
  std::vector<uint8_t> correct;
  std::vector<int32_t> toolCalls;
  std::vector<float> toolCosts = {};
};

inline Rollouts randomRollouts(int64_t count, uint64_t seed,
                               const std::function<int32_t(int64_t, uint32_t)>& groupId) {
  Rollouts rollouts;
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = philox(seed, 0, static_cast<uint64_t>(i));
    const bool right = bits[1] % 2 == 0;
    rollouts.groupIds.push_back(groupId(i, bits[0]));
    rollouts.correct.push_back(right);
    rollouts.toolCalls.push_back(static_cast<int32_t>(bits[2] % 6));
    rollouts.accuracyRewards.push_back((right ? 0.9f : 0.0f) + (bits[3] % 3 ? 0.1f : 0.0f));
  }
  return rollouts;
}

inline double largestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (size_t i = 0; i < b.size(); ++i) largest = std::max(largest, std::abs(double{a[i]} - b[i]));
  return largest;
}

}  // namespace hdpo
