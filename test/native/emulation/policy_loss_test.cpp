// Fused and plain policy loss on emulated kernels, with plain loops in place of cuBLAS.
#include "cuda/policy_loss.h"

#include <doctest/doctest.h>

#include <vector>

#include "core/float_formats.h"
#include "cuda/linear_loss.h"
#include "kernel_test.h"
#include "matrix_product.h"
#include "token_terms.h"

using namespace hdpo;

namespace {

struct Shape {
  int64_t rows, width, vocabSize;
};
struct Case {
  Shape shape;
  Values hidden, weight;
  std::vector<int32_t> targets;
  std::vector<TokenTerms> terms;
  PolicyLossOptions options;
};
struct Result {
  PolicyLossSums sums;
  Values logprobs, entropy, gradHidden, gradWeight;
};

Case randomCase(const Shape& shape, const PolicyLossOptions& options, uint64_t seed) {
  const float scale = 1 / std::sqrt(static_cast<float>(shape.width));
  Case result{shape,
              randomValues(shape.rows * shape.width, 9, 1, seed),
              randomValues(shape.vocabSize * shape.width, 10, 2 * scale, seed),
              {},
              randomTerms(shape.rows, shape.vocabSize, seed),
              options};
  for (int64_t r = 0; r < shape.rows; ++r) {
    const uint32_t bits = philox(seed, 11, static_cast<uint64_t>(r))[0];
    result.targets.push_back(static_cast<int32_t>(bits % static_cast<uint64_t>(shape.vocabSize)));
    if (r % 9 == 8 && shape.vocabSize > 2) {
      result.terms[static_cast<size_t>(r)].excludedToken =
          (result.targets.back() + 1) % static_cast<int32_t>(shape.vocabSize);
    }
  }
  return result;
}

Result emptyResult(const Case& given) {
  const size_t rows = given.targets.size();
  return {{},
          Values(rows, 9),
          Values(rows, 9),
          Values(given.hidden.size(), 9),
          Values(given.weight.size(), 0.25f)};
}

LinearLossInput inputOf(Case& given) {
  LinearLossInput input;
  input.hidden = Tensor(given.hidden.data(), {given.shape.rows, given.shape.width});
  input.weight = Tensor(given.weight.data(), {given.shape.vocabSize, given.shape.width});
  input.targets = given.targets.data();
  input.terms = given.terms.data();
  input.options = given.options;
  return input;
}
LinearLossOutput outputOf(Result& result, const Shape& shape, bool backward) {
  LinearLossOutput output{result.logprobs.data(), result.entropy.data(), Tensor(), Tensor()};
  if (!backward) return output;
  output.gradHidden = Tensor(result.gradHidden.data(), {shape.rows, shape.width});
  output.gradWeight = Tensor(result.gradWeight.data(), {shape.vocabSize, shape.width});
  return output;
}

Result reference(Case given) {
  Result result = emptyResult(given);
  result.sums = ReferenceBackend().linearLoss(inputOf(given), outputOf(result, given.shape, true));
  return result;
}

Result onDevice(Case given, size_t workspaceLimit = size_t{64} << 20, bool backward = true,
                bool bfloat16 = false, cuda::LinearLossPlan* planned = nullptr) {
  Result result = emptyResult(given);
  LinearLossInput input = inputOf(given);
  input.workspaceLimit = workspaceLimit;
  std::vector<uint16_t> narrow;
  if (bfloat16) {
    for (const float value : given.weight) narrow.push_back(toBFloat16(value));
    input.weight = Tensor(narrow.data(), DType::BFloat16, {given.shape.vocabSize, given.shape.width});
  }
  const LinearLossOutput output = outputOf(result, given.shape, backward);
  const cuda::LinearLossPlan plan = cuda::linearLossPlan(input, output);
  if (planned) *planned = plan;
  Scratch workspace(plan.workspaceBytes);
  cuda::linearLoss(nullptr, &result.sums, input, output, plan, workspace.data(), plainProduct);
  return result;
}

void checkNear(const Result& found, const Result& expected, double tolerance, bool gradients = true) {
  const auto near = [&](double value) { return doctest::Approx(value).epsilon(tolerance).scale(1); };
  CHECK(found.sums.loss == near(expected.sums.loss));
  CHECK(found.sums.accuracyLoss == near(expected.sums.accuracyLoss));
  CHECK(found.sums.efficiencyLoss == near(expected.sums.efficiencyLoss));
  CHECK(found.sums.kl == near(expected.sums.kl));
  CHECK(found.sums.supervisedLoss == near(expected.sums.supervisedLoss));
  CHECK(found.sums.entropy == near(expected.sums.entropy));
  CHECK(found.sums.logprobDifference == near(expected.sums.logprobDifference));
  CHECK(found.sums.tokens == expected.sums.tokens);
  CHECK(found.sums.clippedLow == expected.sums.clippedLow);
  CHECK(found.sums.clippedHigh == expected.sums.clippedHigh);
  CHECK(found.sums.dualClipped == expected.sums.dualClipped);
  CHECK(relativeDifference(found.logprobs, expected.logprobs) < tolerance);
  CHECK(relativeDifference(found.entropy, expected.entropy) < tolerance);
  if (!gradients) return;
  CHECK(relativeDifference(found.gradHidden, expected.gradHidden) < tolerance);
  CHECK(relativeDifference(found.gradWeight, expected.gradWeight) < tolerance);
}

const std::vector<Shape> kShapes{{1, 1, 2},     {3, 4, 7},    {17, 16, 129},
                                 {65, 12, 516}, {9, 8, 5001}, {5, 4, 40'000}};

}  // namespace

TEST_CASE("cuda linearLoss: every sum and gradient agrees with the reference") {
  uint64_t seed = 0;
  for (const NamedLossOptions& variant : lossVariants()) {
    CAPTURE(variant.name);
    for (const Shape& shape : kShapes) {
      CAPTURE(shape.vocabSize);
      emulation::setSeed(++seed);
      const Case given = randomCase(shape, variant.options, 3);
      checkNear(onDevice(given), reference(given), 4e-6);
    }
  }
}

TEST_CASE("cuda linearLoss: bfloat16 weights and gradients of logits") {
  for (const NamedLossOptions& variant : lossVariants()) {
    CAPTURE(variant.name);
    for (const Shape& shape : {Shape{17, 16, 129}, {65, 12, 520}}) {
      Case given = randomCase(shape, variant.options, 4);
      for (Values* values : {&given.hidden, &given.weight}) {
        for (float& value : *values) value = fromBFloat16(toBFloat16(value));
      }
      const Result expected = reference(given);
      const Result found = onDevice(given, size_t{64} << 20, true, true);
      checkNear(found, expected, 4e-6, false);
      CHECK(relativeDifference(found.gradHidden, expected.gradHidden) < 1e-2);
      CHECK(relativeDifference(found.gradWeight, expected.gradWeight) < 1e-2);
    }
  }
}

TEST_CASE("cuda linearLoss: supervised terms give the mean negative logprob") {
  for (const Shape& shape : kShapes) {
    Case given = randomCase(shape, typicalLoss(), 4);
    TokenTerms supervised;
    supervised.supervisedScale = 1 / static_cast<float>(shape.rows);
    given.terms.assign(given.terms.size(), supervised);
    const Result found = onDevice(given);
    checkNear(found, reference(given), 4e-6);
    CHECK(found.sums.loss == found.sums.supervisedLoss);
  }
}

TEST_CASE(
    "cuda linearLoss: workspaces from one row to all change nothing in the forward, and keep their limit") {
  const Case given = randomCase({90, 12, 700}, lossVariants().back().options, 6);
  const Result expected = reference(given);
  for (const bool bfloat16 : {false, true}) {
    const Result whole = onDevice(given, size_t{64} << 20, true, bfloat16);
    for (const size_t limit : {size_t{1}, size_t{30'000}, size_t{200'000}}) {
      CAPTURE(limit);
      cuda::LinearLossPlan plan;
      const Result found = onDevice(given, limit, true, bfloat16, &plan);
      CHECK(plan.workspaceBytes <=
            std::max(limit, size_t{20'000}) + 30'000);  // losses of all rows beside the chunk
      CHECK(found.logprobs == whole.logprobs);
      CHECK(found.sums.loss == whole.sums.loss);
      CHECK(found.gradHidden == whole.gradHidden);
      CHECK(relativeDifference(found.gradWeight, whole.gradWeight) < 4e-6);
      const Result forward = onDevice(given, limit, false, bfloat16);
      CHECK(forward.logprobs == whole.logprobs);
      CHECK(forward.entropy == whole.entropy);
    }
    if (!bfloat16) checkNear(whole, expected, 4e-6);
  }
}

TEST_CASE("cuda linearLoss: what is not finite makes the loss so; no rows, no loss; a vocabulary of one") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    CAPTURE(bad);
    for (const bool inWeight : {false, true}) {
      Case given = randomCase({20, 4, 300}, typicalLoss(), 5);
      (inWeight ? given.weight : given.hidden)[7] = bad;
      CHECK_FALSE(std::isfinite(onDevice(given).sums.loss));
      CHECK_FALSE(std::isfinite(onDevice(given, size_t{64} << 20, false).sums.loss));
    }
  }
  const Result one = onDevice(randomCase({3, 4, 1}, typicalLoss(), 4));
  CHECK(one.logprobs == Values(3, 0.0f));
  CHECK(one.gradHidden == Values(12, 0.0f));
  const Result none = onDevice(randomCase({0, 4, 7}, typicalLoss(), 4));
  CHECK(none.sums.loss == 0);
  CHECK(none.gradWeight == Values(28, 0.25f));
}

TEST_CASE("cuda policyLoss: agrees with the reference, masked rows and banned tokens too") {
  struct Plain {
    PolicyLossSums sums;
    Values logprobs, entropy, gradLogprobs, gradLogits;
  };
  for (const NamedLossOptions& variant : lossVariants()) {
    CAPTURE(variant.name);
    for (const auto& [tokens, vocabSize] :
         std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {7, 33}, {40, 1000}, {3, 20'001}}) {
      CAPTURE(vocabSize);
      Values logits = randomValues(tokens * vocabSize, 1, 3);
      std::vector<int32_t> targets;
      std::vector<uint8_t> mask;
      for (int64_t t = 0; t < tokens; ++t) {
        targets.push_back(static_cast<int32_t>(t * 7 % vocabSize));
        mask.push_back(t % 4 != 3);
        const int64_t banned = (t * 7 + 3) % vocabSize;
        if (vocabSize > 4)
          logits[static_cast<size_t>(t * vocabSize + banned)] = -std::numeric_limits<float>::infinity();
      }
      const auto terms = randomTerms(tokens, vocabSize, 8);
      const PolicyLossInput input{tokens,      vocabSize,    logits.data(),  targets.data(),
                                  mask.data(), terms.data(), variant.options};
      const auto run = [&](const auto& loss) {
        const size_t n = static_cast<size_t>(tokens);
        Plain result{{}, Values(n, 9), Values(n, 9), Values(n, 9), Values(logits.size(), 9)};
        loss(result, PolicyLossOutput{result.logprobs.data(), result.entropy.data(),
                                      result.gradLogprobs.data(), result.gradLogits.data()});
        return result;
      };
      const Plain found = run([&](Plain& result, const PolicyLossOutput& output) {
        Scratch workspace(cuda::policyLossWorkspaceBytes({tokens, vocabSize}));
        cuda::policyLoss(nullptr, &result.sums, input, output, workspace.data());
      });
      // The reference knows no infinities: 0 * -infinity would be NaN there.
      for (float& logit : logits) logit = std::max(logit, -1e30f);
      const Plain expected = run([&](Plain& result, const PolicyLossOutput& output) {
        result.sums = ReferenceBackend().policyLoss(input, output);
      });
      CHECK(found.sums.loss == doctest::Approx(expected.sums.loss).epsilon(4e-6).scale(1));
      CHECK(found.sums.tokens == expected.sums.tokens);
      CHECK(relativeDifference(found.logprobs, expected.logprobs) < 4e-6);
      CHECK(relativeDifference(found.entropy, expected.entropy) < 4e-6);
      CHECK(relativeDifference(found.gradLogprobs, expected.gradLogprobs) < 4e-6);
      CHECK(relativeDifference(found.gradLogits, expected.gradLogits) < 4e-6);
    }
  }
}
