#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "ops/policy_loss.h"

using namespace hdpo;

namespace {

struct Scales {
  std::vector<float> accuracy, efficiency;
};

// Sequences of 2, 3, 1 and 2 tokens, of which 2, 1, 0 and 1 are trained.
Scales scalesOf(Aggregation aggregation, const std::vector<float>& efficiencyAdvantages) {
  const std::vector<int32_t> offsets{0, 2, 5, 6, 8};
  const std::vector<uint8_t> mask{1, 1, 0, 1, 0, 0, 0, 1};
  Scales scales{std::vector<float>(4, -1), std::vector<float>(4, -1)};
  channelScales(aggregation, 4, offsets.data(), mask.data(), efficiencyAdvantages.data(),
                scales.accuracy.data(), scales.efficiency.data());
  return scales;
}

const float third = 1.0f / 3, sixth = 1.0f / 6;

}  // namespace

TEST_CASE("channelScales: token-mean divides by the trained tokens of the channel") {
  const Scales scales = scalesOf(Aggregation::TokenMean, {0.5f, 0, 2, -1});
  CHECK(scales.accuracy == std::vector<float>{0.25f, 0.25f, 0, 0.25f});
  CHECK(scales.efficiency == std::vector<float>{third, 0, 0, third});
}

TEST_CASE("channelScales: the sequence means take the sequences that have tokens of the channel") {
  const Scales means = scalesOf(Aggregation::SequenceMeanTokenMean, {0.5f, 0, 2, -1});
  CHECK(means.accuracy == std::vector<float>{sixth, third, 0, third});
  CHECK(means.efficiency == std::vector<float>{0.25f, 0, 0, 0.5f});
  const Scales sums = scalesOf(Aggregation::SequenceMeanTokenSum, {0.5f, 0, 2, -1});
  CHECK(sums.accuracy == std::vector<float>{third, third, 0, third});
  CHECK(sums.efficiency == std::vector<float>{0.5f, 0, 0, 0.5f});
}

TEST_CASE("channelScales: a channel without tokens has scale 0; -0 is no advantage, NaN is one") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto aggregation :
       {Aggregation::TokenMean, Aggregation::SequenceMeanTokenMean, Aggregation::SequenceMeanTokenSum}) {
    CHECK(scalesOf(aggregation, {0, -0.0f, 1, 0}).efficiency == std::vector<float>(4, 0.0f));
    CHECK(scalesOf(aggregation, {0, nan, 0, 0}).efficiency == std::vector<float>{0, 1, 0, 0});
  }
}
