#include "cuda/swiglu.h"

#include <doctest/doctest.h>

#include "kernel_test.h"

using namespace hdpo;

TEST_CASE_TEMPLATE("cuda swiglu: forward and backward agree with the reference", T, float, cuda::BFloat16) {
  ReferenceBackend reference;
  const double tolerance = std::is_same_v<T, float> ? 2e-6 : 5e-3;
  for (const auto& [rows, width] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 15}, {2, 16}, {33, 264}}) {
    CAPTURE(width);
    Values gateUp = rounded<T>(randomValues(rows * 2 * width, 1, 3)),
           gradOut = rounded<T>(randomValues(rows * width, 2));
    gateUp[0] = rounded<T>({-100.0f})[0];
    Values out(gradOut.size()), gradGateUp(gateUp.size());
    const Tensor in(gateUp.data(), {rows, 2 * width});
    reference.swiglu(Tensor(out.data(), {rows, width}), in);
    reference.swigluBackward(Tensor(gradGateUp.data(), {rows, 2 * width}),
                             Tensor(gradOut.data(), {rows, width}), in);
    std::vector<T> foundOut(out.size(), cuda::fromFloat<T>(9)),
        foundGrad(gateUp.size(), cuda::fromFloat<T>(9));
    const std::vector<T> gateUpT = toType<T>(gateUp), gradOutT = toType<T>(gradOut);
    cuda::swiglu(nullptr, foundOut.data(), gateUpT.data(), {rows, width});
    cuda::swigluBackward(nullptr, foundGrad.data(), gradOutT.data(), gateUpT.data(), {rows, width});
    CHECK(relativeDifference(toFloats(foundOut), out) < tolerance);
    CHECK(relativeDifference(toFloats(foundGrad), gradGateUp) < tolerance);
  }
}
