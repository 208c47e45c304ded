#include "cuda/adapter.h"

#include <doctest/doctest.h>

#include "kernel_test.h"

using namespace hdpo;

TEST_CASE_TEMPLATE("cuda dropout: the mask of core/random.h, bit for bit, rows of a split batch too", T,
                   float, cuda::BFloat16) {
  for (const int64_t columns : {1, 4, 7, 300}) {
    const int64_t rows = 5;
    const Values values = rounded<T>(randomValues(rows * columns, 1));
    const std::vector<T> in = toType<T>(values);
    const DropoutMask mask{0.3f, 42, 7, 11};
    std::vector<T> out(in.size(), cuda::fromFloat<T>(9)), rest = out;
    Values expected(in.size());
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        const auto counter = static_cast<uint64_t>((mask.firstRow + r) * ((columns + 3) / 4) + c / 4);
        const bool kept = philox(mask.seed, mask.stream, counter)[static_cast<size_t>(c % 4)] >=
                          static_cast<uint32_t>(double{mask.probability} * 4294967296.0);
        const auto at = static_cast<size_t>(r * columns + c);
        expected[at] = kept ? values[at] * (1 / (1 - mask.probability)) : 0.0f;
      }
    }
    cuda::dropout(nullptr, out.data(), in.data(), {rows, columns}, mask);
    expected = rounded<T>(expected);
    CHECK(toFloats(out) == expected);
    const DropoutMask later{0.3f, 42, 7, 11 + 2};
    cuda::dropout(nullptr, rest.data(), in.data() + 2 * columns, {rows - 2, columns}, later);
    const Values found = toFloats(rest);
    CHECK(std::equal(found.begin(), found.begin() + (rows - 2) * columns, expected.begin() + 2 * columns));
  }
}

TEST_CASE("cuda spreadBlocks: the parts of up on a diagonal, and back") {
  const AdapterBlock blocks[] = {{0, 5}, {9, 70}, {79, 1}};
  const int64_t rank = 6, outputs = 80, width = 3 * rank, upRows = 76;
  const Values up = randomValues(upRows * rank, 1), gradOut = randomValues(outputs * width, 2);
  Values expected(static_cast<size_t>(outputs * width), 0.0f), found(expected.size(), 9),
      gradUp(up.size(), 0.5f), expectedGrad = gradUp;
  size_t next = 0;
  for (int64_t m = 0; m < 3; ++m) {
    for (int64_t r = 0; r < blocks[m].rows; ++r) {
      for (int64_t i = 0; i < rank; ++i, ++next) {
        const auto at = static_cast<size_t>((blocks[m].firstRow + r) * width + m * rank + i);
        expected[at] = 1.5f * up[next];
        expectedGrad[next] += 1.5f * gradOut[at];
      }
    }
  }
  cuda::spreadBlocks(nullptr, found.data(), outputs, up.data(), blocks, 3, rank, 1.5f);
  cuda::spreadBlocksBackward(nullptr, gradUp.data(), gradOut.data(), blocks, 3, rank, 1.5f);
  CHECK(found == expected);
  CHECK(relativeDifference(gradUp, expectedGrad) < 1e-7);
}
