#include <doctest/doctest.h>

#include "op_test.h"

using namespace hdpo;

TEST_CASE("rmsNorm: the CPU agrees with the reference, forward and backward") {
  for (const auto& [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 5}, {3, 15}, {2, 16}, {129, 17}, {127, 128}, {257, 256}, {5, 1000}}) {
    CAPTURE(rows);
    CAPTURE(columns);
    Values x = randomValues(rows * columns, 0), weight = randomValues(columns, 1),
           gradY = randomValues(rows * columns, 2);
    checkAgainstReference(
        [&, rows = rows, columns = columns](Backend& backend) {
          Values y(x.size()), unkept(x.size()), inverse(static_cast<size_t>(rows)), gradX(x.size(), 9);
          Values added = randomValues(rows * columns, 3), gradWeight(weight.size(), 0.5f);
          const auto matrix = [&](Values& data) { return Tensor(data.data(), {rows, columns}); };
          const Tensor w(weight.data(), {columns}), gradW(gradWeight.data(), {columns}),
              inverseRms(inverse.data(), {rows});
          backend.rmsNorm(matrix(y), inverseRms, matrix(x), w, 1e-5f);
          backend.rmsNorm(matrix(unkept), Tensor(), matrix(x), w, 1e-5f);
          CHECK(unkept == y);
          backend.rmsNormBackward(matrix(gradX), false, gradW, matrix(gradY), matrix(x), w, inverseRms);
          backend.rmsNormBackward(matrix(added), true, gradW, matrix(gradY), matrix(x), w, inverseRms);
          return std::vector<Values>{y, inverse, gradX, added, gradWeight};
        },
        2e-6);
  }
}
