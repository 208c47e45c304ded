#include "cuda/optimizer.h"

#include <doctest/doctest.h>

#include "kernel_test.h"
#include "self_test/typical_options.h"

using namespace hdpo;

TEST_CASE("cuda sumOfSquares: float64, the same bits in any order of threads, any length and alignment") {
  for (const int64_t count : {0, 1, 5, 4097, 65536, 140'003}) {
    for (const int64_t offset : {0, 1}) {
      const Values values = randomValues(count + offset, 1, 1e3f);
      double expected = 0, found = -1, again = -2;
      for (int64_t i = offset; i < count + offset; ++i)
        expected += double{values[static_cast<size_t>(i)]} * values[static_cast<size_t>(i)];
      Scratch workspace(cuda::sumOfSquaresWorkspaceBytes(count));
      emulation::setSeed(1);
      cuda::sumOfSquares(nullptr, &found, values.data() + offset, count, workspace.data());
      emulation::setSeed(2);
      cuda::sumOfSquares(nullptr, &again, values.data() + offset, count, workspace.data());
      CHECK(found == doctest::Approx(expected).epsilon(1e-12));
      CHECK(found == again);
    }
  }
}

TEST_CASE("cuda adamW: weights, moments and the bfloat16 copy agree with the reference") {
  ReferenceBackend reference;
  for (const int64_t count : {1, 4, 1023, 5000}) {
    for (const int64_t offset : {0, 1}) {
      Values weight = randomValues(count + offset, 1), momentum(weight.size(), 0), variance(weight.size(), 0);
      Values expected = weight, expectedMomentum = momentum, expectedVariance = variance;
      std::vector<cuda::BFloat16> working(weight.size());
      const auto part = [&](Values& values) { return Tensor(values.data() + offset, {count}); };
      for (int64_t step = 1; step <= 3; ++step) {
        Values gradient = randomValues(count + offset, 10 + static_cast<uint64_t>(step));
        AdamWOptions options = typicalAdamW();
        options.step = step;
        options.weightDecay = 0.1f;
        options.gradientScale = 0.5f;
        options.learningRate = 0.01f;
        reference.adamW(part(expected), part(gradient), part(expectedMomentum), part(expectedVariance),
                        options);
        cuda::adamW(nullptr, weight.data() + offset, step == 2 ? nullptr : working.data() + offset,
                    gradient.data() + offset, momentum.data() + offset, variance.data() + offset, count,
                    options);
      }
      CHECK(relativeDifference(weight, expected) < 1e-6);
      CHECK(relativeDifference(momentum, expectedMomentum) < 1e-6);
      CHECK(relativeDifference(variance, expectedVariance) < 1e-6);
      for (size_t i = static_cast<size_t>(offset); i < weight.size(); ++i)
        REQUIRE(working[i].bits == toBFloat16(weight[i]));
    }
  }
}
