#include "model/rope.h"

#include <doctest/doctest.h>

#include <cmath>

#include "training_batches.h"

using namespace hdpo;

TEST_CASE("rope: plain frequencies are powers of theta") {
  ModelConfig config = smallConfig();
  config.headDim = 8;
  config.ropeTheta = 10000;
  const std::vector<float> frequencies = inverseFrequencies(config);
  REQUIRE(frequencies.size() == 4);
  for (size_t i = 0; i < 4; ++i) CHECK(frequencies[i] == doctest::Approx(std::pow(10.0, -double(i))));
}

// The rule as published for Llama 3.1: high frequencies stay, low ones are divided, the rest is interpolated.
TEST_CASE("rope: Llama 3.1's scaling, by its wavelengths") {
  ModelConfig config = smallConfig();
  config.headDim = 128;
  config.ropeTheta = 500000;
  const std::vector<float> plain = inverseFrequencies(config);
  config.ropeScaling = {8, 1, 4, 8192};
  const std::vector<float> scaled = inverseFrequencies(config);
  int kept = 0, divided = 0, between = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2 * 3.14159265358979323846 / plain[i];
    double expected = plain[i];
    if (wavelength > 8192.0) {
      expected = plain[i] / 8.0;
      ++divided;
    } else if (wavelength < 8192.0 / 4) {
      ++kept;
    } else {
      const double smooth = (8192.0 / wavelength - 1) / (4 - 1);
      expected = (1 - smooth) * plain[i] / 8 + smooth * plain[i];
      ++between;
    }
    CHECK(scaled[i] == doctest::Approx(expected).epsilon(1e-6));
  }
  CHECK(kept > 10);
  CHECK(divided > 10);
  CHECK(between > 2);
}

TEST_CASE("rope: wrong scalings are refused by name") {
  const auto refused = [](RopeScaling scaling) {
    ModelConfig config = smallConfig();
    config.ropeScaling = scaling;
    return refusal([&] { validate(config); });
  };
  CHECK(refused({8, 1, 4, 8192}).empty());
  CHECK(contains(refused({0.5f, 1, 4, 8192}), "ropeScaling.factor"));
  CHECK(contains(refused({8, 0, 4, 8192}), "ropeScaling.lowFrequencyFactor"));
  CHECK(contains(refused({8, 4, 4, 8192}), "ropeScaling.highFrequencyFactor"));
  CHECK(contains(refused({8, 1, 4, 0}), "ropeScaling.originalMaxPositions"));
}
