#include "cpu/vector.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace hdpo;

TEST_CASE("exponentialOfNegative: within 2 ulp of float64, and what happens at the ends") {
  double worst = 0;
  for (int64_t i = 0; i < 2'000'000; ++i) {
    const float x = -87.33f * static_cast<float>(i) / 2e6f;
    const double exact = std::exp(double{x});
    const float rounded = static_cast<float>(exact);
    const double ulp = std::nextafter(rounded, std::numeric_limits<float>::infinity()) - double{rounded};
    worst = std::max(worst, std::abs(exponentialOfNegative(broadcast(x))[i % kLanes] - exact) / ulp);
  }
  CHECK(worst < 2);
  CHECK(exponentialOfNegative(broadcast(0.0f))[3] == 1.0f);
  CHECK(exponentialOfNegative(broadcast(-87.4f))[0] == 0.0f);
  CHECK(exponentialOfNegative(broadcast(-std::numeric_limits<float>::infinity()))[0] == 0.0f);
  CHECK(std::isnan(exponentialOfNegative(broadcast(std::nanf("")))[kLanes - 1]));
}

TEST_CASE("logarithm: within 2 ulp or 2^-24 of float64, from the smallest normal number to the largest") {
  double worst = 0;
  for (int64_t i = 0; i < 1'000'000; ++i) {
    const float x = static_cast<float>(std::exp(-87.3 + 176.0 * static_cast<double>(i) / 1e6));
    const double exact = std::log(double{x});
    const float size = std::abs(static_cast<float>(exact));
    const double ulp = std::nextafter(size, std::numeric_limits<float>::infinity()) - double{size};
    const double error = std::abs(logarithm(broadcast(x))[i % kLanes] - exact);
    worst = std::max(worst, error / std::max(2 * ulp, 0x1p-24));
  }
  CHECK(worst < 1);
  CHECK(logarithm(broadcast(1.0f))[0] == 0.0f);
  CHECK(std::isnan(logarithm(broadcast(std::nanf("")))[kLanes - 1]));
}

TEST_CASE("transpose exchanges rows and lanes") {
  Vector rows[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < kLanes; ++j) rows[i][j] = static_cast<float>(100 * i + j);
  }
  transpose(rows);
  for (int i = 0; i < kLanes; ++i) {
    for (int j = 0; j < kLanes; ++j) CHECK(rows[i][j] == static_cast<float>(100 * j + i));
  }
}

TEST_CASE("partial loads and stores touch nothing beyond their count") {
  for (int64_t count = 0; count <= kLanes; ++count) {
    float from[kLanes], to[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      from[i] = static_cast<float>(i + 1);
      to[i] = -1;
    }
    const Vector value = loadPartial(from, count);
    storePartial(to, value, count);
    for (int i = 0; i < kLanes; ++i) {
      CHECK(value[i] == (i < count ? from[i] : 0.0f));
      CHECK(to[i] == (i < count ? from[i] : -1.0f));
    }
  }
}
