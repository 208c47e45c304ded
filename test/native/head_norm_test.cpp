#include <doctest/doctest.h>

#include "op_test.h"

using namespace hdpo;

TEST_CASE("headNorm: the CPU agrees with the reference, forward, in place and backward") {
  struct Shape {
    int64_t rows, heads, kvHeads, headDim;
  };
  ReferenceBackend reference;
  for (const Shape& s : {Shape{1, 1, 1, 2}, {3, 4, 2, 6}, {37, 8, 2, 64}, {600, 3, 3, 20}}) {
    CAPTURE(s.rows);
    const int64_t width = (s.heads + 2 * s.kvHeads) * s.headDim;
    std::vector<float> qkv = randomValues(s.rows * width, 0), queryWeight = randomValues(s.headDim, 1);
    std::vector<float> keyWeight = randomValues(s.headDim, 2);
    const auto results = [&](Backend& backend) {
      std::vector<float> out(qkv.size()), inPlace = qkv,
                                          inverse(static_cast<size_t>(s.rows * (s.heads + s.kvHeads)));
      std::vector<float> grad = randomValues(s.rows * width, 3), gradQuery(queryWeight.size(), 0.5f),
                         gradKey(gradQuery);
      const auto matrix = [&](std::vector<float>& data) { return Tensor(data.data(), {s.rows, width}); };
      const auto vector = [&](std::vector<float>& data) { return Tensor(data.data(), {s.headDim}); };
      const Tensor inverseRms(inverse.data(), {s.rows, s.heads + s.kvHeads});
      backend.headNorm(matrix(out), inverseRms, matrix(qkv), vector(queryWeight), vector(keyWeight), s.heads,
                       s.kvHeads, s.headDim, 1e-5f);
      backend.headNorm(matrix(inPlace), Tensor(), matrix(inPlace), vector(queryWeight), vector(keyWeight),
                       s.heads, s.kvHeads, s.headDim, 1e-5f);
      CHECK(inPlace == out);
      backend.headNormBackward(matrix(grad), vector(gradQuery), vector(gradKey), matrix(qkv),
                               vector(queryWeight), vector(keyWeight), inverseRms, s.heads, s.kvHeads,
                               s.headDim);
      return std::vector<std::vector<float>>{out, inverse, grad, gradQuery, gradKey};
    };
    const auto expected = results(reference), one = results(*createCpuBackend(1)),
               two = results(*createCpuBackend(2));
    CHECK(one == two);  // whatever the number of threads
    for (size_t i = 0; i < expected.size(); ++i) CHECK(relativeDifference(two[i], expected[i]) < 2e-6);
  }
}
