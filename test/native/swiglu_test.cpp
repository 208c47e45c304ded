#include <doctest/doctest.h>

#include "op_test.h"

using namespace hdpo;

TEST_CASE("swiglu: the CPU agrees with the reference, forward and backward") {
  for (const auto& [rows, width] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {3, 15}, {2, 16}, {5, 17}, {7, 127}, {64, 352}, {129, 704}}) {
    CAPTURE(rows);
    CAPTURE(width);
    Values gateUp = randomValues(rows * 2 * width, 0, 3), gradOut = randomValues(rows * width, 1);
    checkAgainstReference(
        [&, rows = rows, width = width](Backend& backend) {
          Values out(gradOut.size()), gradGateUp(gateUp.size());
          backend.swiglu(Tensor(out.data(), {rows, width}), Tensor(gateUp.data(), {rows, 2 * width}));
          backend.swigluBackward(Tensor(gradGateUp.data(), {rows, 2 * width}),
                                 Tensor(gradOut.data(), {rows, width}),
                                 Tensor(gateUp.data(), {rows, 2 * width}));
          return std::vector<Values>{out, gradGateUp};
        },
        1e-6);
  }
}

TEST_CASE("swiglu: the gradient agrees with finite differences of the reference") {
  constexpr int64_t kWidth = 17;
  constexpr float kStep = 1e-2f;
  ReferenceBackend reference;
  Values gateUp = randomValues(2 * kWidth, 0), gradOut = randomValues(kWidth, 1), grad(gateUp.size());
  createCpuBackend(1)->swigluBackward(Tensor(grad.data(), {1, 2 * kWidth}),
                                      Tensor(gradOut.data(), {1, kWidth}),
                                      Tensor(gateUp.data(), {1, 2 * kWidth}));
  const auto loss = [&] {
    Values out(kWidth);
    reference.swiglu(Tensor(out.data(), {1, kWidth}), Tensor(gateUp.data(), {1, 2 * kWidth}));
    double sum = 0;
    for (size_t i = 0; i < out.size(); ++i) sum += double{out[i]} * gradOut[i];
    return sum;
  };
  for (size_t i = 0; i < gateUp.size(); ++i) {
    const float original = gateUp[i];
    gateUp[i] = original + kStep;
    const double above = loss();
    gateUp[i] = original - kStep;
    const double below = loss();
    gateUp[i] = original;
    CHECK((above - below) / (2 * kStep) == doctest::Approx(grad[i]).scale(1).epsilon(1e-3));
  }
}

TEST_CASE("swiglu: saturated gates stay finite, NaN stays NaN") {
  Values gateUp = {-1000, -100, -89, 89, 100, 1000, std::nanf(""), 1, 1, 1, 1, 1, 1, 1}, out(7), grad(14),
         ones(7, 1.0f);
  const auto cpu = createCpuBackend(1);
  cpu->swiglu(Tensor(out.data(), {1, 7}), Tensor(gateUp.data(), {1, 14}));
  cpu->swigluBackward(Tensor(grad.data(), {1, 14}), Tensor(ones.data(), {1, 7}),
                      Tensor(gateUp.data(), {1, 14}));
  for (size_t i = 0; i < 3; ++i) {
    CHECK(std::abs(out[i]) < 1e-30f);
    CHECK(std::abs(grad[i]) < 1e-30f);
    CHECK(out[3 + i] == gateUp[3 + i]);
    CHECK(grad[3 + i] == 1.0f);
  }
  CHECK(std::isnan(out[6]));
  CHECK(std::isnan(grad[6]));
}
