#include "cuda/advantages.h"

#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "kernel_test.h"
#include "random_rollouts.h"

using namespace hdpo;

namespace {

struct Advantages {
  Values rewards, accuracy, efficiency;
  bool operator==(const Advantages&) const = default;
};

template <typename Run>
Advantages advantagesOf(const Rollouts& rollouts, float epsilon, bool scaleByStd, const Run& run) {
  const size_t count = rollouts.groupIds.size();
  Advantages result{Values(count, -9), Values(count, -9), Values(count, -9)};
  GroupAdvantagesInput input{static_cast<int64_t>(count),
                             rollouts.groupIds.data(),
                             rollouts.accuracyRewards.data(),
                             rollouts.correct.data(),
                             rollouts.toolCalls.data(),
                             epsilon,
                             scaleByStd,
                             rollouts.toolCosts.empty() ? nullptr : rollouts.toolCosts.data()};
  run(input, GroupAdvantagesOutput{result.rewards.data(), result.accuracy.data(), result.efficiency.data()});
  return result;
}

Advantages onDevice(const Rollouts& rollouts, float epsilon = 1e-6f, bool scaleByStd = true) {
  return advantagesOf(rollouts, epsilon, scaleByStd, [](const auto& input, const auto& output) {
    Scratch workspace(cuda::groupAdvantagesWorkspaceBytes(input.rollouts));
    cuda::groupAdvantages(nullptr, input, output, workspace.data());
  });
}
Advantages reference(const Rollouts& rollouts, float epsilon = 1e-6f, bool scaleByStd = true) {
  return advantagesOf(rollouts, epsilon, scaleByStd, [](const auto& input, const auto& output) {
    ReferenceBackend().groupAdvantages(input, output);
  });
}

}  // namespace

TEST_CASE(
    "cuda groupAdvantages: any ids, order and sizes agree with the reference; any order of threads, the same "
    "bits") {
  constexpr int32_t kLowest = std::numeric_limits<int32_t>::min(),
                    kHighest = std::numeric_limits<int32_t>::max();
  const std::vector<Rollouts> cases{
      randomRollouts(1, 1, [](int64_t, uint32_t) { return 5; }),
      randomRollouts(64, 2, [](int64_t i, uint32_t) { return static_cast<int32_t>(i / 16); }),
      randomRollouts(300, 3, [](int64_t, uint32_t bits) { return static_cast<int32_t>(bits % 37) - 18; }),
      randomRollouts(40, 4, [](int64_t i, uint32_t) { return i % 2 ? kLowest : kHighest; }),
      randomRollouts(257, 4, [](int64_t i, uint32_t) { return i < 255 ? 0 : -1; }),
      randomRollouts(5000, 5, [](int64_t, uint32_t bits) { return static_cast<int32_t>(bits); }),
      randomRollouts(9000, 6, [](int64_t, uint32_t bits) { return static_cast<int32_t>(bits % 700) << 16; }),
      randomRollouts(9000, 7, [](int64_t i, uint32_t) { return i == 9 ? 1 : 0; }),
      randomRollouts(6000, 8, [](int64_t i, uint32_t) { return static_cast<int32_t>(i / 24); }),
  };
  for (const Rollouts& rollouts : cases) {
    CAPTURE(rollouts.groupIds.size());
    for (const bool scaleByStd : {true, false}) {
      const Advantages expected = reference(rollouts, 1e-6f, scaleByStd);
      emulation::setSeed(1);
      const Advantages found = onDevice(rollouts, 1e-6f, scaleByStd);
      emulation::setSeed(2);
      CHECK(found == onDevice(rollouts, 1e-6f, scaleByStd));
      CHECK(found.rewards == expected.rewards);
      CHECK(largestDifference(found.accuracy, expected.accuracy) < 5e-7);
      CHECK(largestDifference(found.efficiency, expected.efficiency) < 5e-7);
    }
  }
}

TEST_CASE("cuda groupAdvantages: equal rewards, lone qualifiers and wrong answers give exactly +0") {
  const auto isZero = [](const Values& values) {
    return std::all_of(values.begin(), values.end(), [](float v) { return v == 0 && !std::signbit(v); });
  };
  const Advantages equal =
      onDevice({{1, 2, 1, 2, 1, 3}, {0.1f, 1, 0.1f, 1, 0.1f, 7}, {1, 1, 1, 1, 1, 1}, {3, 0, 3, 0, 3, 2}});
  CHECK(isZero(equal.accuracy));
  CHECK(isZero(equal.efficiency));
  const Advantages lone = onDevice({{4, 4, 4}, {1, 0, 0.1f}, {1, 0, 0}, {5, 0, 2}});
  CHECK(isZero(lone.efficiency));
  CHECK(lone.accuracy[0] > 1);
  const Advantages pair = onDevice({{4, 4, 4}, {1, 0, 1}, {1, 0, 1}, {5, 0, 2}});
  CHECK(pair.efficiency[0] == doctest::Approx(-std::sqrt(0.5)).epsilon(1e-4));
  CHECK(pair.efficiency[1] == 0);
}

TEST_CASE("cuda groupAdvantages: small differences, negative and tiny rewards, costs, one outlier in many") {
  const float next = std::nextafter(1000.0f, 2000.0f);
  std::vector<Rollouts> cases{
      {{1, 1, 1, 1}, {1000, next, 1000, next}, {1, 1, 1, 1}, {2147483647, 2147483646, 0, 40000}},
      {{1, 1, 1, 1, 2, 2}, {-3, -2.5f, 0, 1e-30f, 1e-40f, 2e-40f}, {1, 1, 1, 1, 0, 0}, {0, 1, 2, 3, 4, 5}},
      randomRollouts(20000, 9, [](int64_t, uint32_t) { return -7; })};
  cases[2].accuracyRewards.assign(20000, 0.25f);
  cases[2].accuracyRewards[12345] = -0.5f;
  Rollouts priced = randomRollouts(5000, 11, [](int64_t i, uint32_t) { return static_cast<int32_t>(i / 8); });
  for (const int32_t calls : priced.toolCalls)
    priced.toolCosts.push_back(0.0025f * static_cast<float>(calls));
  priced.toolCalls.assign(priced.toolCalls.size(), 77);
  cases.push_back(priced);
  for (const Rollouts& rollouts : cases) {
    for (const float epsilon : {0.0f, 1e-6f}) {
      const Advantages expected = reference(rollouts, epsilon), found = onDevice(rollouts, epsilon);
      CHECK(found.rewards == expected.rewards);
      for (size_t i = 0; i < expected.accuracy.size(); ++i) {
        REQUIRE(found.accuracy[i] == doctest::Approx(expected.accuracy[i]).epsilon(1e-6));
      }
      CHECK(largestDifference(found.efficiency, expected.efficiency) < 1e-6);
    }
  }
}

TEST_CASE("cuda groupAdvantages: a NaN reward reaches its own group alone; nothing in, nothing out") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Advantages result = onDevice({{1, 1, 2, 2}, {1, nan, 1, 0}, {1, 0, 1, 0}, {0, 0, 0, 0}});
  CHECK(std::isnan(result.accuracy[0]));
  CHECK(std::isnan(result.accuracy[1]));
  CHECK(result.accuracy[2] == doctest::Approx(std::sqrt(0.5)).epsilon(1e-4));
  CHECK(onDevice({}).accuracy.empty());
}
