#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "random_rollouts.h"
#include "small_models.h"

using namespace hdpo;

namespace {

struct Advantages {
  std::vector<float> efficiencyRewards, accuracy, efficiency;
  bool operator==(const Advantages&) const = default;
};

Advantages advantagesOf(Backend& backend, const Rollouts& rollouts, float epsilon = 1e-6f,
                        bool scaleByStd = true) {
  const size_t count = rollouts.groupIds.size();
  Advantages result{std::vector<float>(count, -9), std::vector<float>(count, -9),
                    std::vector<float>(count, -9)};
  backend.groupAdvantages(
      {static_cast<int64_t>(count), rollouts.groupIds.data(), rollouts.accuracyRewards.data(),
       rollouts.correct.data(), rollouts.toolCalls.data(), epsilon, scaleByStd,
       rollouts.toolCosts.empty() ? nullptr : rollouts.toolCosts.data()},
      {result.efficiencyRewards.data(), result.accuracy.data(), result.efficiency.data()});
  return result;
}

}  // namespace

TEST_CASE("groupAdvantages: the CPU agrees with the reference for any ids, order, sizes and thread count") {
  constexpr int32_t kLowest = std::numeric_limits<int32_t>::min(),
                    kHighest = std::numeric_limits<int32_t>::max();
  const std::vector<Rollouts> cases{
      randomRollouts(1, 1, [](int64_t, uint32_t) { return 5; }),
      randomRollouts(64, 2, [](int64_t i, uint32_t) { return static_cast<int32_t>(i / 16); }),
      randomRollouts(300, 3, [](int64_t, uint32_t bits) { return static_cast<int32_t>(bits % 37) - 18; }),
      randomRollouts(40, 4, [](int64_t i, uint32_t) { return i % 2 ? kLowest : kHighest; }),
      randomRollouts(5000, 5, [](int64_t, uint32_t bits) { return static_cast<int32_t>(bits); }),
      randomRollouts(40000, 6,
                     [](int64_t, uint32_t bits) { return static_cast<int32_t>(bits % 2500) << 16; }),
      randomRollouts(70000, 7, [](int64_t i, uint32_t) { return i == 9 ? 1 : 0; }),
      randomRollouts(90000, 8, [](int64_t, uint32_t bits) { return static_cast<int32_t>(bits); }),
  };
  ReferenceBackend reference;
  const auto oneThread = createCpuBackend(1), threeThreads = createCpuBackend(3);
  for (const Rollouts& rollouts : cases) {
    CAPTURE(rollouts.groupIds.size());
    for (const bool scaleByStd : {true, false}) {
      const Advantages expected = advantagesOf(reference, rollouts, 1e-6f, scaleByStd);
      const Advantages one = advantagesOf(*oneThread, rollouts, 1e-6f, scaleByStd);
      CHECK(one == advantagesOf(*threeThreads, rollouts, 1e-6f, scaleByStd));
      CHECK(largestDifference(one.efficiencyRewards, expected.efficiencyRewards) == 0);
      // All but a few of the 70,000 rollouts have advantages near 1; rounding to float32 is 6e-8 of the
      // value.
      CHECK(largestDifference(one.accuracy, expected.accuracy) < 5e-7);
      CHECK(largestDifference(one.efficiency, expected.efficiency) < 5e-7);
    }
  }
}

TEST_CASE("groupAdvantages: equal rewards and groups of one have advantages of exactly 0") {
  const auto backend = createCpuBackend(1);
  const Advantages equal = advantagesOf(
      *backend, {{1, 2, 1, 2, 1, 3}, {0.1f, 1, 0.1f, 1, 0.1f, 7}, {1, 1, 1, 1, 1, 1}, {3, 0, 3, 0, 3, 2}});
  CHECK(equal.accuracy == std::vector<float>(6, 0.0f));
  CHECK(equal.efficiency == std::vector<float>(6, 0.0f));
  for (const float value : equal.efficiency) CHECK_FALSE(std::signbit(value));
  // One right rollout makes no qualifying set, and wrong ones have no efficiency advantage of either sign.
  const Advantages lone = advantagesOf(*backend, {{4, 4, 4}, {1, 0, 0.1f}, {1, 0, 0}, {5, 0, 2}});
  CHECK(lone.efficiency == std::vector<float>(3, 0.0f));
  CHECK(lone.accuracy[0] > 1);
  const Advantages pair = advantagesOf(*backend, {{4, 4, 4}, {1, 0, 1}, {1, 0, 1}, {5, 0, 2}});
  CHECK(pair.efficiency[0] == doctest::Approx(-std::sqrt(0.5)).epsilon(1e-4));
  CHECK(pair.efficiency[1] == 0);
  CHECK_FALSE(std::signbit(pair.efficiency[1]));
}

TEST_CASE("groupAdvantages: rewards that differ by one unit in the last place keep their digits") {
  ReferenceBackend reference;
  const auto backend = createCpuBackend(1);
  const float next = std::nextafter(1000.0f, 2000.0f);
  const Rollouts rollouts{
      {1, 1, 1, 1}, {1000, next, 1000, next}, {1, 1, 1, 1}, {2147483647, 2147483646, 0, 40000}};
  for (const float epsilon : {0.0f, 1e-6f}) {
    const Advantages expected = advantagesOf(reference, rollouts, epsilon);
    CHECK(largestDifference(advantagesOf(*backend, rollouts, epsilon).accuracy, expected.accuracy) < 1e-6);
    CHECK(largestDifference(advantagesOf(*backend, rollouts, epsilon).efficiency, expected.efficiency) <
          1e-6);
  }
}

TEST_CASE("groupAdvantages: costs count instead of calls") {
  ReferenceBackend reference;
  const auto backend = createCpuBackend(2);
  Rollouts rollouts =
      randomRollouts(5000, 11, [](int64_t i, uint32_t) { return static_cast<int32_t>(i / 8); });
  const Advantages byCalls = advantagesOf(*backend, rollouts);
  for (const int32_t calls : rollouts.toolCalls) rollouts.toolCosts.push_back(static_cast<float>(calls));
  rollouts.toolCalls.assign(rollouts.toolCalls.size(), 77);
  CHECK(advantagesOf(*backend, rollouts) == byCalls);
  for (float& cost : rollouts.toolCosts) cost *= 0.0025f;
  const Advantages priced = advantagesOf(*backend, rollouts), expected = advantagesOf(reference, rollouts);
  CHECK(priced.efficiencyRewards == expected.efficiencyRewards);
  CHECK(priced.accuracy == byCalls.accuracy);
  CHECK(largestDifference(priced.efficiency, expected.efficiency) < 1e-6);
}

TEST_CASE("groupAdvantages: a NaN reward reaches its own group alone") {
  const auto backend = createCpuBackend(1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Advantages result =
      advantagesOf(*backend, {{1, 1, 2, 2}, {1, nan, 1, 0}, {1, 0, 1, 0}, {0, 0, 0, 0}});
  CHECK(std::isnan(result.accuracy[0]));
  CHECK(std::isnan(result.accuracy[1]));
  CHECK(result.accuracy[2] == doctest::Approx(std::sqrt(0.5)).epsilon(1e-4));
}

TEST_CASE("groupAdvantages: nothing in, nothing out") {
  const auto backend = createCpuBackend(2);
  CHECK(advantagesOf(*backend, {}).accuracy.empty());
}
