#include "cuda/elementwise.h"

#include <doctest/doctest.h>

#include "kernel_test.h"

using namespace hdpo;

TEST_CASE("cuda convert: every pair of types, any length and alignment, ties and NaN") {
  for (const int64_t count : {1, 7, 8, 255, 4099}) {
    for (const int64_t offset : {0, 1}) {
      CAPTURE(count);
      Values in = randomValues(count + offset, 1);
      in[static_cast<size_t>(offset)] = std::bit_cast<float>(0x3F808000u);  // a tie: to even
      if (count > 1) in.back() = std::numeric_limits<float>::quiet_NaN();
      std::vector<cuda::BFloat16> narrow(in.size(), cuda::BFloat16{7}), again(in.size(), cuda::BFloat16{7});
      Values wide(in.size(), 7), same(in.size(), 7);
      cuda::convert(nullptr, narrow.data() + offset, in.data() + offset, count);
      cuda::convert(nullptr, wide.data() + offset, narrow.data() + offset, count);
      cuda::convert(nullptr, again.data() + offset, narrow.data() + offset, count);
      cuda::convert(nullptr, same.data() + offset, in.data() + offset, count);
      for (size_t i = static_cast<size_t>(offset); i < in.size(); ++i) {
        REQUIRE(narrow[i].bits == toBFloat16(in[i]));
        REQUIRE(again[i].bits == narrow[i].bits);
        REQUIRE(std::bit_cast<uint32_t>(wide[i]) == uint32_t{narrow[i].bits} << 16);
        REQUIRE(std::bit_cast<uint32_t>(same[i]) == std::bit_cast<uint32_t>(in[i]));
      }
    }
  }
}

TEST_CASE_TEMPLATE("cuda add, addBias, biasBackward, gather, scatter", T, float, cuda::BFloat16) {
  ReferenceBackend reference;
  for (const auto& [rows, columns] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 15}, {5, 64}, {131, 40}, {300, 264}}) {
    CAPTURE(columns);
    const int64_t count = rows * columns;
    const Values a = rounded<T>(randomValues(count, 1)), b = rounded<T>(randomValues(count, 2)),
                 bias = randomValues(columns, 3);
    std::vector<T> out = toType<T>(a);
    const std::vector<T> right = toType<T>(b);
    cuda::add(nullptr, out.data(), out.data(), right.data(), count);
    Values sum(a.size());
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = a[i] + b[i];
    CHECK(toFloats(out) == rounded<T>(sum));

    cuda::addBias(nullptr, out.data(), bias.data(), {rows, columns});
    Values biased = rounded<T>(sum);
    reference.addBias(Tensor(biased.data(), {rows, columns}), view(bias, {columns}));
    CHECK(toFloats(out) == rounded<T>(biased));

    Values gradBias(bias.size(), 0.5f), expected(bias.size(), 0.5f);
    Scratch workspace(cuda::biasBackwardWorkspaceBytes({rows, columns}));
    cuda::biasBackward(nullptr, gradBias.data(), right.data(), {rows, columns}, workspace.data());
    reference.biasBackward(Tensor(expected.data(), {columns}), view(b, {rows, columns}));
    CHECK(relativeDifference(gradBias, expected) < 2e-6);

    std::vector<int32_t> index;
    for (int64_t i = 0; i < rows; i += 2) index.push_back(static_cast<int32_t>(rows - 1 - i));
    const auto chosen = static_cast<int64_t>(index.size());
    std::vector<T> gathered(static_cast<size_t>(chosen * columns), cuda::fromFloat<T>(9)),
        scattered(a.size(), cuda::fromFloat<T>(9));
    cuda::gatherRows(nullptr, gathered.data(), right.data(), index.data(), {chosen, columns});
    cuda::scatterRows(nullptr, scattered.data(), rows, gathered.data(), index.data(), {chosen, columns});
    Values picked(gathered.size()), spread(a.size());
    const Tensor pickedRows(picked.data(), {chosen, columns});
    reference.gatherRows(pickedRows, view(b, {rows, columns}), index.data());
    reference.scatterRows(Tensor(spread.data(), {rows, columns}), pickedRows, index.data());
    CHECK(toFloats(gathered) == picked);
    CHECK(toFloats(scattered) == spread);
  }
}
