#include <doctest/doctest.h>

#include "op_test.h"

using namespace hdpo;

namespace {

Values frequenciesOf(int64_t headDim, float theta) {
  Values result;
  for (int64_t i = 0; i < headDim / 2; ++i) {
    result.push_back(std::pow(theta, -2.0f * static_cast<float>(i) / static_cast<float>(headDim)));
  }
  return result;
}

}  // namespace

TEST_CASE("rotary: the CPU agrees with the reference in both directions, far positions included") {
  struct Case {
    int64_t rows;
    AttentionShape shape;
  };
  for (const auto& [rows, shape] :
       {Case{1, {1, 1, 2}}, {17, {2, 1, 6}}, {129, {4, 2, 32}}, {300, {1, 1, 64}}, {40, {2, 1, 128}}}) {
    CAPTURE(rows);
    CAPTURE(shape.headDim);
    const int64_t width = shape.qkvWidth();
    const Values frequencies = frequenciesOf(shape.headDim, 10000);
    std::vector<int32_t> positions;
    for (int64_t i = 0; i < rows; ++i)
      positions.push_back(static_cast<int32_t>(i % 5 == 4 ? 8000 + i : i % 97));
    checkAgainstReference(
        [&, rows = rows, shape = shape](Backend& backend) {
          Values forward = randomValues(rows * width, 0), inverse = forward;
          backend.rotary(Tensor(forward.data(), {rows, width}), shape, positions.data(), frequencies.data(),
                         1);
          backend.rotary(Tensor(inverse.data(), {rows, width}), shape, positions.data(), frequencies.data(),
                         -1);
          return std::vector<Values>{forward, inverse};
        },
        5e-7);
  }
}

TEST_CASE(
    "rotary: backward undoes forward, and other frequencies or another head dimension gets its own table") {
  const auto cpu = createCpuBackend(2);
  ReferenceBackend reference;
  const std::vector<int32_t> positions = {0, 5, 63};
  constexpr int64_t width = 96;
  const AttentionShape whole{.heads = 1, .kvHeads = 1, .headDim = 32};
  const Values original = randomValues(3 * width, 0);
  Values data = original, frequencies = frequenciesOf(32, 10000);
  const Tensor rows(data.data(), {3, width});
  cpu->rotary(rows, whole, positions.data(), frequencies.data(), 1);
  CHECK(std::equal(data.begin(), data.begin() + width, original.begin()));  // position 0: no rotation
  CHECK(relativeDifference(data, original) > 0.1);
  cpu->rotary(rows, whole, positions.data(), frequencies.data(), -1);
  CHECK(relativeDifference(data, original) < 2e-7);
  for (const auto& [headDim, theta] :
       std::vector<std::pair<int64_t, float>>{{32, 1e6f}, {8, 1e6f}, {32, 10000.0f}}) {
    Values given = original, expected = original;
    frequencies = frequenciesOf(headDim, theta);
    const AttentionShape shape{.heads = 32 / headDim, .kvHeads = 32 / headDim, .headDim = headDim};
    cpu->rotary(Tensor(given.data(), {3, width}), shape, positions.data(), frequencies.data(), 1);
    reference.rotary(Tensor(expected.data(), {3, width}), shape, positions.data(), frequencies.data(), 1);
    CHECK(relativeDifference(given, expected) < 5e-7);
  }
}
