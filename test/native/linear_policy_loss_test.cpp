#include "ops/linear_policy_loss.h"

#include <doctest/doctest.h>

#include <limits>

#include "device_memory_backend.h"
#include "small_models.h"
#include "token_terms.h"

using namespace hdpo;

namespace {

constexpr int64_t kTokens = 37, kWidth = 20, kVocabSize = 130;

struct Case {
  std::vector<float> hidden, weight;
  std::vector<int32_t> targets = randomTokens(kTokens, kVocabSize, 3);
  std::vector<uint8_t> mask;
  std::vector<TokenTerms> terms = randomTerms(kTokens, kVocabSize, 3);
  PolicyLossOptions options = lossVariants().back().options;

  Case() {
    for (int64_t i = 0; i < kTokens * kWidth; ++i) hidden.push_back(normal(3, 9, static_cast<uint64_t>(i)));
    for (int64_t i = 0; i < kVocabSize * kWidth; ++i)
      weight.push_back(0.2f * normal(3, 10, static_cast<uint64_t>(i)));
    for (int64_t t = 0; t < kTokens; ++t) mask.push_back(t % 4 != 3);
  }
};

struct Result {
  PolicyLossSums sums;
  std::vector<float> logprobs, entropy, gradHidden, gradWeight;
};

Result lossOf(Backend& backend, const Case& given) {
  Result result{{},
                std::vector<float>(given.targets.size()),
                std::vector<float>(given.targets.size()),
                std::vector<float>(given.hidden.size()),
                std::vector<float>(given.weight.size())};
  result.sums = linearPolicyLoss(
      backend,
      {kTokens, kWidth, kVocabSize, given.hidden.data(), given.weight.data(), given.targets.data(),
       given.mask.data(), given.terms.data(), given.options},
      {result.logprobs.data(), result.entropy.data(), result.gradHidden.data(), result.gradWeight.data()});
  return result;
}

}  // namespace

TEST_CASE("linearPolicyLoss: what policyLoss computes from the logits") {
  const auto backend = createCpuBackend(2);
  const Case given;
  std::vector<float> logits;
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t v = 0; v < kVocabSize; ++v) {
      double sum = 0;
      for (int64_t i = 0; i < kWidth; ++i)
        sum += double{given.hidden[static_cast<size_t>(t * kWidth + i)]} *
               given.weight[static_cast<size_t>(v * kWidth + i)];
      logits.push_back(static_cast<float>(sum));
    }
  }
  Result plain = lossOf(*backend, given);
  std::vector<float> gradLogprobs(given.targets.size()), gradLogits(logits.size());
  const Result fused = plain;
  plain.sums = backend->policyLoss(
      {kTokens, kVocabSize, logits.data(), given.targets.data(), given.mask.data(), given.terms.data(),
       given.options},
      {plain.logprobs.data(), plain.entropy.data(), gradLogprobs.data(), gradLogits.data()});
  CHECK(fused.sums.loss == doctest::Approx(plain.sums.loss).epsilon(1e-5));
  CHECK(fused.sums.tokens == plain.sums.tokens);
  CHECK(relativeDifference(fused.logprobs, plain.logprobs) < 1e-5);
  CHECK(relativeDifference(fused.entropy, plain.entropy) < 1e-5);
  std::vector<float> gradHidden, gradWeight(given.weight.size());
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t i = 0; i < kWidth; ++i) {
      double sum = 0;
      for (int64_t v = 0; v < kVocabSize; ++v) {
        const float grad = gradLogits[static_cast<size_t>(t * kVocabSize + v)];
        sum += double{grad} * given.weight[static_cast<size_t>(v * kWidth + i)];
        gradWeight[static_cast<size_t>(v * kWidth + i)] +=
            grad * given.hidden[static_cast<size_t>(t * kWidth + i)];
      }
      gradHidden.push_back(static_cast<float>(sum));
    }
  }
  CHECK(relativeDifference(fused.gradHidden, gradHidden) < 1e-5);
  CHECK(relativeDifference(fused.gradWeight, gradWeight) < 1e-5);
}

TEST_CASE("linearPolicyLoss: memory that the host may not touch gets copies, and computes the same") {
  const auto cpu = createCpuBackend(2);
  Case mixed, none, all;
  none.mask.assign(none.mask.size(), 0);
  all.mask.assign(all.mask.size(), 1);
  for (const Case* given : {&mixed, &none, &all}) {
    DeviceMemoryBackend device(2);
    const Result expected = lossOf(*cpu, *given), found = lossOf(device, *given);
    CHECK(found.sums.loss == expected.sums.loss);
    CHECK(found.sums.tokens == expected.sums.tokens);
    CHECK(found.sums.workspaceBytes == expected.sums.workspaceBytes);
    CHECK(found.logprobs == expected.logprobs);
    CHECK(found.entropy == expected.entropy);
    CHECK(found.gradHidden == expected.gradHidden);
    CHECK(found.gradWeight == expected.gradWeight);
    CHECK(device.allocations() == 0);
  }
}

TEST_CASE("linearPolicyLoss: what a row that is not trained holds stays in its logprob") {
  const auto backend = createCpuBackend(1);
  Case given;
  const Result expected = lossOf(*backend, given);
  given.hidden[3 * kWidth] = std::numeric_limits<float>::quiet_NaN();
  const Result found = lossOf(*backend, given);
  CHECK(std::isnan(found.logprobs[3]));
  CHECK(found.sums.loss == expected.sums.loss);
  CHECK(found.gradHidden == expected.gradHidden);
  CHECK(found.gradWeight == expected.gradWeight);
}
