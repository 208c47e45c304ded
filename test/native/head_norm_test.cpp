#include <doctest/doctest.h>

#include "op_test.h"

using namespace hdpo;

TEST_CASE("headNorm: the CPU agrees with the reference, forward, in place and backward") {
  struct Case {
    int64_t rows;
    AttentionShape shape;
  };
  ReferenceBackend reference;
  for (const auto& [rows, shape] :
       {Case{1, {1, 1, 2}}, {3, {4, 2, 6}}, {37, {8, 2, 64}}, {600, {3, 3, 20}}}) {
    CAPTURE(rows);
    const int64_t width = shape.qkvWidth(), headDim = shape.headDim, normed = shape.positionedHeads();
    std::vector<float> qkv = randomValues(rows * width, 0), queryWeight = randomValues(headDim, 1);
    std::vector<float> keyWeight = randomValues(headDim, 2);
    const auto results = [&, rows = rows, shape = shape](Backend& backend) {
      std::vector<float> out(qkv.size()), inPlace = qkv, inverse(static_cast<size_t>(rows * normed));
      std::vector<float> grad = randomValues(rows * width, 3), gradQuery(queryWeight.size(), 0.5f),
                         gradKey(gradQuery);
      const auto matrix = [&](std::vector<float>& data) { return Tensor(data.data(), {rows, width}); };
      const auto vector = [&](std::vector<float>& data) { return Tensor(data.data(), {headDim}); };
      const Tensor inverseRms(inverse.data(), {rows, normed});
      backend.headNorm(matrix(out), inverseRms, matrix(qkv), vector(queryWeight), vector(keyWeight), shape,
                       1e-5f);
      backend.headNorm(matrix(inPlace), Tensor(), matrix(inPlace), vector(queryWeight), vector(keyWeight),
                       shape, 1e-5f);
      CHECK(inPlace == out);
      backend.headNormBackward(matrix(grad), vector(gradQuery), vector(gradKey), matrix(qkv),
                               vector(queryWeight), vector(keyWeight), inverseRms, shape);
      return std::vector<std::vector<float>>{out, inverse, grad, gradQuery, gradKey};
    };
    const auto expected = results(reference), one = results(*createCpuBackend(1)),
               two = results(*createCpuBackend(2));
    CHECK(one == two);  // whatever the number of threads
    for (size_t i = 0; i < expected.size(); ++i) CHECK(relativeDifference(two[i], expected[i]) < 2e-6);
  }
}
