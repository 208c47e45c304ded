#include <doctest/doctest.h>

#include <numeric>

#include "op_test.h"

using namespace hdpo;

namespace {

const std::vector<std::pair<int64_t, int64_t>> kShapes = {{1, 1}, {3, 15}, {17, 16}, {127, 17}, {129, 352}};

}  // namespace

TEST_CASE("add, addBias and biasBackward: the CPU agrees with the reference") {
  for (const auto& [rows, columns] : kShapes) {
    CAPTURE(rows);
    CAPTURE(columns);
    Values a = randomValues(rows * columns, 0), b = randomValues(rows * columns, 1),
           bias = randomValues(columns, 2);
    checkAgainstReference(
        [&, rows = rows, columns = columns](Backend& backend) {
          const auto matrix = [&](Values& data) { return Tensor(data.data(), {rows, columns}); };
          Values sum(a.size()), inPlace = a, biased = a, gradBias(bias.size(), 3);
          backend.add(matrix(sum), matrix(a), matrix(b));
          backend.add(matrix(inPlace), matrix(b), matrix(inPlace));
          CHECK(inPlace == sum);
          backend.addBias(matrix(biased), Tensor(bias.data(), {columns}));
          backend.biasBackward(Tensor(gradBias.data(), {columns}), matrix(b));
          return std::vector<Values>{sum, biased, gradBias};
        },
        1e-6);
  }
}

TEST_CASE("gatherRows and scatterRows are each other's inverse and leave zeros elsewhere") {
  for (const auto& [rows, columns] : kShapes) {
    std::vector<int32_t> index;
    for (int32_t i = 0; i < rows; i += 2) index.push_back(static_cast<int32_t>(rows - 1 - i));
    const int64_t picked = static_cast<int64_t>(index.size());
    Values source = randomValues(rows * columns, 0);
    checkAgainstReference(
        [&, rows = rows, columns = columns](Backend& backend) {
          Values gathered(static_cast<size_t>(picked * columns)), scattered(source.size(), 5);
          backend.gatherRows(Tensor(gathered.data(), {picked, columns}),
                             Tensor(source.data(), {rows, columns}), index.data());
          backend.scatterRows(Tensor(scattered.data(), {rows, columns}),
                              Tensor(gathered.data(), {picked, columns}), index.data());
          return std::vector<Values>{gathered, scattered};
        },
        1e-12);
  }
}
