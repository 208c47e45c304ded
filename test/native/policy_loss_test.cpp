#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "small_models.h"
#include "token_terms.h"

using namespace hdpo;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Case {
  int64_t vocabSize;
  std::vector<float> logits;
  std::vector<int32_t> targets;
  std::vector<uint8_t> mask;
  std::vector<TokenTerms> terms;
  PolicyLossOptions options;
};

struct Result {
  PolicyLossSums sums;
  std::vector<float> logprobs, entropy, gradLogprobs, gradLogits;
};

Case randomCase(int64_t tokens, int64_t vocabSize, const PolicyLossOptions& options, uint64_t seed) {
  Case result{vocabSize, {}, randomTokens(tokens, vocabSize, seed), {}, randomTerms(tokens, vocabSize, seed),
              options};
  for (int64_t i = 0; i < tokens * vocabSize; ++i)
    result.logits.push_back(normal(seed, 9, static_cast<uint64_t>(i)));
  for (int64_t t = 0; t < tokens; ++t) result.mask.push_back(t % 4 != 3);
  return result;
}

Result lossOf(Backend& backend, const Case& given) {
  const size_t tokens = given.targets.size(), values = given.logits.size();
  Result result{{},
                std::vector<float>(tokens, 9),
                std::vector<float>(tokens, 9),
                std::vector<float>(tokens, 9),
                std::vector<float>(values, 9)};
  result.sums = backend.policyLoss(
      {static_cast<int64_t>(tokens), given.vocabSize, given.logits.data(), given.targets.data(),
       given.mask.data(), given.terms.data(), given.options},
      {result.logprobs.data(), result.entropy.data(), result.gradLogprobs.data(), result.gradLogits.data()});
  return result;
}

Case oneToken(std::vector<float> logits, const PolicyLossOptions& options = typicalLoss()) {
  TokenTerms terms;
  terms.accuracyAdvantage = 1;
  terms.accuracyScale = 1;
  return {static_cast<int64_t>(logits.size()), logits, {0}, {1}, {terms}, options};
}

}  // namespace

TEST_CASE("policyLoss: the CPU agrees with the reference in every sum and gradient") {
  ReferenceBackend reference;
  const auto oneThread = createCpuBackend(1), threeThreads = createCpuBackend(3);
  for (const NamedLossOptions& variant : lossVariants()) {
    CAPTURE(variant.name);
    for (const auto& [tokens, vocabSize] : {std::pair{1, 1}, {5, 2}, {40, 17}, {70, 129}, {23, 4099}}) {
      CAPTURE(vocabSize);
      const Case given = randomCase(tokens, vocabSize, variant.options, 3);
      const Result expected = lossOf(reference, given), found = lossOf(*oneThread, given);
      CHECK(found.gradLogits == lossOf(*threeThreads, given).gradLogits);
      CHECK(found.sums.loss == lossOf(*threeThreads, given).sums.loss);
      for (const auto member :
           {&Result::logprobs, &Result::entropy, &Result::gradLogprobs, &Result::gradLogits}) {
        for (size_t i = 0; i < (expected.*member).size(); ++i) {
          CHECK((found.*member)[i] == doctest::Approx((expected.*member)[i]).epsilon(2e-7));
        }
      }
      const auto near = [](double value) { return doctest::Approx(value).epsilon(1e-12); };
      CHECK(found.sums.loss == near(expected.sums.loss));
      CHECK(found.sums.accuracyLoss == near(expected.sums.accuracyLoss));
      CHECK(found.sums.efficiencyLoss == near(expected.sums.efficiencyLoss));
      CHECK(found.sums.kl == near(expected.sums.kl));
      CHECK(found.sums.entropy == near(expected.sums.entropy));
      CHECK(found.sums.logprobDifference == near(expected.sums.logprobDifference));
      CHECK(found.sums.tokens == expected.sums.tokens);
      CHECK(found.sums.clippedLow == expected.sums.clippedLow);
      CHECK(found.sums.clippedHigh == expected.sums.clippedHigh);
      CHECK(found.sums.dualClipped == expected.sums.dualClipped);
      if (tokens >= 40) CHECK(found.sums.clippedLow * found.sums.clippedHigh * found.sums.dualClipped > 0);
    }
  }
}

TEST_CASE("policyLoss: the gradient of the logits is that of the loss, by central differences") {
  const auto backend = createCpuBackend(1);
  for (const NamedLossOptions& variant : lossVariants()) {
    CAPTURE(variant.name);
    Case given = randomCase(12, 7, variant.options, 5);
    const Result found = lossOf(*backend, given);
    for (size_t i = 0; i < given.logits.size(); ++i) {
      CAPTURE(i);
      const float original = given.logits[i], above = original + 1e-3f, below = original - 1e-3f;
      given.logits[i] = above;
      const double high = lossOf(*backend, given).sums.loss;
      given.logits[i] = below;
      const double low = lossOf(*backend, given).sums.loss;
      given.logits[i] = original;
      const double slope = (high - low) / (double{above} - below);
      CHECK(std::abs(slope - found.gradLogits[i]) < 2e-6);
    }
  }
}

TEST_CASE("policyLoss: masked-out rows take no part, whatever they hold") {
  const auto backend = createCpuBackend(1);
  Case given = randomCase(8, 5, typicalLoss(), 7);
  const Result before = lossOf(*backend, given);
  for (int64_t v = 0; v < 5; ++v) given.logits[static_cast<size_t>(3 * 5 + v)] = kNan;
  given.terms[7].accuracyAdvantage = kNan;
  const Result after = lossOf(*backend, given);
  CHECK(after.sums.loss == before.sums.loss);
  CHECK(after.gradLogits == before.gradLogits);
  CHECK(std::isnan(after.logprobs[3]));
  CHECK_FALSE(std::isnan(after.logprobs[7]));
  given.mask.assign(8, 0);
  const Result none = lossOf(*backend, given);
  CHECK(none.sums.loss == 0);
  CHECK(none.sums.tokens == 0);
  CHECK(none.gradLogits == std::vector<float>(40, 0.0f));
}

TEST_CASE("policyLoss: a token that cannot be drawn has logit -infinity and gradient 0") {
  const auto backend = createCpuBackend(1);
  PolicyLossOptions bonus = typicalLoss();
  bonus.entropyCoefficient = 0.1f;
  for (const PolicyLossOptions& options : {typicalLoss(), bonus}) {
    const Result result = lossOf(*backend, oneToken({1, 2, -kInfinity}, options));
    CHECK(result.logprobs[0] == doctest::Approx(-1.3132617));
    CHECK(result.entropy[0] == doctest::Approx(0.5822031));
    CHECK(std::isfinite(result.sums.loss));
    CHECK(result.gradLogits[2] == 0);
    CHECK(result.gradLogits[0] + result.gradLogits[1] == doctest::Approx(0));
  }
}

TEST_CASE("policyLoss: NaN and +infinity end in the loss and in the largest difference") {
  const auto backend = createCpuBackend(1);
  for (const std::vector<float>& logits : std::vector<std::vector<float>>{
           {1, kNan, 2}, {kNan, 1, 2}, {1, kInfinity, 2}, {-kInfinity, -kInfinity, -kInfinity}}) {
    const Result result = lossOf(*backend, oneToken(logits));
    CHECK(std::isnan(result.sums.loss));
    CHECK(std::isnan(result.sums.logprobDifference));
    CHECK(std::isnan(result.gradLogprobs[0]));
  }
  Case later = randomCase(6, 5, typicalLoss(), 7);
  later.terms[0].oldLogprob = kNan;
  CHECK(std::isnan(lossOf(*backend, later).sums.logprobDifference));
}

TEST_CASE("policyLoss: a difference beyond 20 has the ratio of 20 and no gradient") {
  const auto backend = createCpuBackend(1);
  PolicyLossOptions options = typicalLoss();
  options.dualClip = 1e30f;
  for (const auto& [oldLogprob, advantage, ratio] :
       {std::tuple{-30.0f, -1.0f, std::exp(20.0)}, {25.0f, 1.0f, std::exp(-20.0)}}) {
    Case given = oneToken({0, 0}, options);
    given.terms[0].oldLogprob = oldLogprob;
    given.terms[0].accuracyAdvantage = advantage;
    const Result result = lossOf(*backend, given);
    CHECK(result.sums.loss == doctest::Approx(-advantage * ratio));
    CHECK(result.gradLogprobs[0] == 0);
  }
}

TEST_CASE("policyLoss: a sure token keeps the digits of its gradient") {
  const auto backend = createCpuBackend(1);
  Case given = oneToken({30, 0, 0});
  const Result result = lossOf(*backend, given);
  CHECK(result.gradLogits[0] == doctest::Approx(-2 * std::exp(-30.0)).epsilon(1e-6));
}
