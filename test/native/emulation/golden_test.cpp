// The golden files, run through the CUDA backend and through the formulas of the self-test, by the same cases
// that `hdpo doctor --self-test` runs.
#include <doctest/doctest.h>

#include <cmath>

#include "emulated_backend.h"
#include "golden_files.h"
#include "ops/linear_policy_loss.h"
#include "self_test/reference_backend.h"
#include "self_test/runner.h"

using namespace hdpo;
using namespace hdpo::self_test;

namespace {

std::vector<std::vector<float>> resultsOf(const OpCase& given, Backend& backend) {
  Call call;
  given.run(backend, call);
  return call.hostResults;
}

// Checks that every value is within `relative` or `absolute` of what it should be.
void checkEach(const std::vector<float>& found, const std::vector<double>& expected, double relative,
               double absolute) {
  REQUIRE(found.size() == expected.size());
  size_t wrong = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double allowed = relative * std::abs(expected[i]) + absolute;
    if (!(std::abs(found[i] - expected[i]) <= allowed)) ++wrong;  // catches NaN too
  }
  CHECK(wrong == 0);
}

// The tolerances that hdpo promises: advantages to 1e-6, a GPU's other results to 1e-4, for float64 rounded
// to float32.
void checkAdvantages(const Json& golden, Backend& backend) {
  const auto found = resultsOf(advantagesCase(rolloutsOf(golden)), backend);
  const Json& expected = golden["expected"];
  checkEach(found[0], expected["efficiencyRewards"].numbers, 0, 1e-6);
  checkEach(found[1], expected["accuracyAdvantages"].numbers, 0, 1e-6);
  checkEach(found[2], expected["efficiencyAdvantages"].numbers, 0, 1e-6);
}

void checkLoss(const Json& golden, Backend& backend, double relative) {
  const auto found = resultsOf(policyLossCase(lossBatchOf(golden)), backend);
  const Json& expected = golden["expected"];
  checkEach(found[0], expected["logprobs"].numbers, relative, 1e-9);
  checkEach(found[1], expected["entropy"].numbers, relative, 1e-9);
  checkEach(found[2], expected["gradLogprobs"].numbers, relative, 1e-9);
  checkEach(found[3], expected["gradLogits"].numbers, relative, 1e-9);
  checkEach(found[4],
            {expected["loss"].number, expected["accuracyLoss"].number, expected["efficiencyLoss"].number,
             expected["kl"].number},
            relative, 1e-7);
}

// Runs the public fused loss with the identity matrix: hidden states are then the logits, and gradHidden is
// gradLogits.
void checkLinearLoss(const Json& golden, Backend& backend, double relative) {
  const LossBatch batch = lossBatchOf(golden);
  const auto vocabSize = static_cast<size_t>(batch.vocabSize);
  std::vector<float> weight(vocabSize * vocabSize);
  for (size_t v = 0; v < vocabSize; ++v) weight[v * vocabSize + v] = 1;
  const std::vector<TokenTerms> terms = policyTerms(
      batch.aggregation, {static_cast<int64_t>(batch.offsets.size()) - 1, batch.offsets.data(),
                          batch.mask.data(), batch.oldLogprobs.data(), batch.referenceLogprobs.data(),
                          batch.accuracyAdvantages.data(), batch.efficiencyAdvantages.data()});
  std::vector<float> logprobs(batch.targets.size()), entropy(batch.targets.size());
  std::vector<float> gradHidden(batch.logits.size()), gradWeight(weight.size());
  const PolicyLossSums sums = linearPolicyLoss(
      backend,
      {static_cast<int64_t>(batch.targets.size()), batch.vocabSize, batch.vocabSize, batch.logits.data(),
       weight.data(), batch.targets.data(), batch.mask.data(), terms.data(), batch.options},
      {logprobs.data(), entropy.data(), gradHidden.data(), gradWeight.data()});
  const Json& expected = golden["expected"];
  const std::vector<double>& gradLogits = expected["gradLogits"].numbers;
  std::vector<double> outer(weight.size());
  for (size_t i = 0; i < gradLogits.size(); ++i) {
    for (size_t v = 0; v < vocabSize; ++v) {
      outer[i % vocabSize * vocabSize + v] += gradLogits[i] * batch.logits[i / vocabSize * vocabSize + v];
    }
  }
  checkEach(logprobs, expected["logprobs"].numbers, relative, 1e-6);
  checkEach(entropy, expected["entropy"].numbers, relative, 1e-6);
  checkEach(gradHidden, gradLogits, relative, 1e-9);
  checkEach(gradWeight, outer, relative, 1e-6);
  checkEach({static_cast<float>(sums.loss), static_cast<float>(sums.accuracyLoss),
             static_cast<float>(sums.efficiencyLoss), static_cast<float>(sums.kl)},
            {expected["loss"].number, expected["accuracyLoss"].number, expected["efficiencyLoss"].number,
             expected["kl"].number},
            relative, 1e-7);
}

// Calls check(case, backend, relative tolerance) for every case of the file, on the device and by the
// formulas.
template <class Check>
void checkGolden(const char* file, size_t count, const Check& check) {
  const std::vector<Json> cases = goldenCases(file);
  CHECK(cases.size() == count);
  const auto device = emulatedBackend();
  ReferenceBackend formulas;
  for (const Json& golden : cases) {
    CAPTURE(golden["name"].text);
    check(golden, *device, 1e-4);
    check(golden, formulas, 1e-6);
  }
}

}  // namespace

TEST_CASE("golden files: advantages on the CUDA backend and by the self-test's formulas") {
  checkGolden("advantages.json", 8,
              [](const Json& golden, Backend& backend, double) { checkAdvantages(golden, backend); });
}

TEST_CASE("golden files: policy loss on the CUDA backend and by the self-test's formulas") {
  checkGolden("policy_loss.json", 10, checkLoss);
}

TEST_CASE("golden files: fused loss of host arrays on the CUDA backend and by the self-test's formulas") {
  checkGolden("policy_loss.json", 10, checkLinearLoss);
}

TEST_CASE("self-test: the rules of HDPO hold on the CUDA backend") {
  const auto device = emulatedBackend();
  for (const OpResult& result : checkHdpo(*device)) {
    CAPTURE(result.name);
    CAPTURE(result.reason);
    CHECK(result.outcome == Outcome::Passed);
  }
}
