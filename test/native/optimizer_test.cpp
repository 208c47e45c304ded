#include <doctest/doctest.h>

#include "op_test.h"
#include "self_test/typical_options.h"

using namespace hdpo;

TEST_CASE("adamW: three steps agree with the reference, with clipping and decay") {
  for (const int64_t count : {1, 15, 16, 17, 1000, 70001}) {
    CAPTURE(count);
    Values gradient = randomValues(count, 1);
    checkAgainstReference(
        [&](Backend& backend) {
          Values weight = randomValues(count, 0), momentum(weight.size()), variance(weight.size());
          const auto flat = [&](Values& data) { return Tensor(data.data(), {count}); };
          AdamWOptions options = typicalAdamW();
          options.learningRate = 0.01f;
          options.weightDecay = 0.1f;
          options.gradientScale = 0.3f;
          for (options.step = 1; options.step <= 3; ++options.step) {
            backend.adamW(flat(weight), flat(gradient), flat(momentum), flat(variance), options);
          }
          return std::vector<Values>{weight, momentum, variance};
        },
        1e-6);
  }
}

TEST_CASE("adamW: the first step moves every weight by the learning rate against its gradient's sign") {
  Values weight = {1, -1, 2}, gradient = {0.001f, -300, 7}, momentum(3), variance(3);
  AdamWOptions options = typicalAdamW();
  options.learningRate = 0.125f;
  const auto flat = [](Values& data) { return Tensor(data.data(), {3}); };
  createCpuBackend(1)->adamW(flat(weight), flat(gradient), flat(momentum), flat(variance), options);
  CHECK(weight[0] == doctest::Approx(0.875));
  CHECK(weight[1] == doctest::Approx(-0.875));
  CHECK(weight[2] == doctest::Approx(1.875));
}

TEST_CASE("sumOfSquares: float64 sums, the same for any number of threads, NaN and overflow visible") {
  const auto one = createCpuBackend(1), two = createCpuBackend(2);
  ReferenceBackend reference;
  for (const int64_t count : {1, 17, 16384, 16385, 200001}) {
    Values values = randomValues(count, 0);
    const Tensor flat(values.data(), {count});
    CHECK(two->sumOfSquares(flat) == one->sumOfSquares(flat));
    CHECK(two->sumOfSquares(flat) == doctest::Approx(reference.sumOfSquares(flat)).epsilon(1e-12));
  }
  Values large(40000, 1e30f);  // the squares overflow float32
  CHECK(two->sumOfSquares(Tensor(large.data(), {40000})) == doctest::Approx(4e64));
  large[39999] = std::nanf("");
  CHECK(std::isnan(two->sumOfSquares(Tensor(large.data(), {40000}))));
}
