#include "training/learner.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "finite_differences.h"
#include "temporary_folder.h"
#include "training_batches.h"

using namespace hdpo;

namespace {

constexpr int64_t kWholeBatch = 1 << 20;

PolicyLossOptions everyTerm() {
  PolicyLossOptions options = typicalLoss();
  options.temperature = 1.3f;
  options.klCoefficient = 0.3f;
  options.entropyCoefficient = 0.2f;
  options.clipLow = options.clipHigh = 0.4f;
  return options;
}

// Moves the policy away from `oldLogprobs`, but not by much: finite differences must not cross a clip's
// corner.
void alignOldLogprobs(OwningLearner& learner, TrainingBatch& batch, float temperature, float shift) {
  learner.logprobs(learner.parameters(), batch.tokens, batch.offsets, temperature, kWholeBatch,
                   batch.oldLogprobs.data(), nullptr);
  for (size_t t = 0; t < batch.oldLogprobs.size(); ++t) batch.oldLogprobs[t] += t % 2 ? shift : -shift;
}

}  // namespace

TEST_CASE("learner: the gradient of the whole policy and supervised loss agrees with finite differences") {
  for (const auto& backend : allBackends()) {
    for (const NamedConfig& named : smallConfigs()) {
      for (const bool supervised : {false, true}) {
        CAPTURE(backend->name());
        CAPTURE(named.name);
        CAPTURE(supervised);
        const auto learner = learnerFor(*backend, named.config, 31);
        TrainingBatch batch = policyBatch(named.config);
        alignOldLogprobs(*learner, batch, everyTerm().temperature, 0.1f);
        const auto loss = [&] {
          return learner
              ->accumulate(batch, Aggregation::SequenceMeanTokenMean, everyTerm(), 12, supervised, nullptr)
              .loss;
        };
        loss();
        Parameters gradients(*backend, named.config);
        gradients.copyFrom(learner->gradients());
        const GradientDisagreement worst = compareGradients(learner->parameters(), gradients, loss);
        CAPTURE(worst.where);
        CHECK(worst.relative < 3e-3);
      }
    }
  }
}

TEST_CASE("learner: the split into micro-batches changes neither loss nor gradient") {
  for (const auto& backend : allBackends()) {
    for (const Aggregation aggregation :
         {Aggregation::TokenMean, Aggregation::SequenceMeanTokenMean, Aggregation::SequenceMeanTokenSum}) {
      for (const bool supervised : {false, true}) {
        CAPTURE(backend->name());
        CAPTURE(supervised);
        const ModelConfig config = smallConfigs().back().config;
        const auto learner = learnerFor(*backend, config, 32);
        const TrainingBatch batch = policyBatch(config);
        const PolicyLossSums whole =
            learner->accumulate(batch, aggregation, everyTerm(), kWholeBatch, supervised, nullptr);
        const std::vector<float> gradient = values(learner->gradients().flat());
        CHECK(whole.tokens == 13);
        for (const int64_t budget : {1, 8, 16, 20}) {
          CAPTURE(budget);
          const PolicyLossSums split =
              learner->accumulate(batch, aggregation, everyTerm(), budget, supervised, nullptr);
          CHECK(split.loss == doctest::Approx(whole.loss).epsilon(1e-6));
          CHECK(split.tokens == whole.tokens);
          CHECK(split.logprobDifference == doctest::Approx(whole.logprobDifference).epsilon(1e-5));
          // This is rounding: products of other shapes add in another order, and two layers amplify it.
          CHECK(relativeDifference(values(learner->gradients().flat()), gradient) < 5e-6);
        }
      }
    }
  }
}

TEST_CASE("learner: sequences stay whole in micro-batches of the given budget") {
  ReferenceBackend backend;
  const ModelConfig config = smallConfig();
  const TrainingBatch batch = policyBatch(config);  // lengths 7, 1, 11, 4, 9
  const auto microBatches = [&](int64_t budget) {
    const auto learner = learnerFor(backend, config, 33);
    OptimizerOptions options = typicalOptimizer();
    options.microBatchTokens = budget;
    return learner->supervisedStep(batch, options, nullptr).sums.microBatches;
  };
  // The sequences of 1 and 4 tokens train nothing and are left out.
  CHECK(microBatches(1) == 3);
  CHECK(microBatches(15) == 3);  // 7, 11, 9
  CHECK(microBatches(18) == 2);  // 7 + 11, 9
  CHECK(microBatches(32) == 1);
}

TEST_CASE("learner: sequences whose loss has no gradient are not computed, and change nothing") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const ModelConfig config = smallConfigs().back().config;
    TrainingBatch batch = policyBatch(config);  // lengths 7, 1, 11, 4, 9
    batch.accuracyAdvantages = {0, 1, 0, 0, -0.5f};
    batch.efficiencyAdvantages = {0, 0, 0, 0.7f, 0};
    const auto learner = learnerFor(*backend, config, 36);
    const auto gradientAt = [&](PolicyLossOptions loss) {
      const PolicyLossSums sums =
          learner->accumulate(batch, Aggregation::TokenMean, loss, 12, false, nullptr);
      return std::pair(sums, values(learner->gradients().flat()));
    };
    const auto trained = [&](size_t first, size_t last) {
      return std::count(batch.mask.begin() + batch.offsets[first], batch.mask.begin() + batch.offsets[last],
                        1);
    };
    PolicyLossOptions every = typicalLoss();
    every.klCoefficient = 1e-30f;  // too small for a digit of float32, but it makes every sequence count
    const auto [all, gradient] = gradientAt(every);
    CHECK(all.tokens == 13);
    const auto [some, same] = gradientAt(typicalLoss());
    CHECK(some.tokens == trained(3, 5));
    CHECK(some.loss == doctest::Approx(all.loss).epsilon(1e-6));
    CHECK(some.accuracyLoss == doctest::Approx(all.accuracyLoss).epsilon(1e-6));
    CHECK(some.efficiencyLoss == doctest::Approx(all.efficiencyLoss).epsilon(1e-6));
    CHECK(relativeDifference(same, gradient) < 5e-6);

    PolicyLossOptions accuracyAlone = typicalLoss();
    accuracyAlone.efficiencyWeight = 0;
    CHECK(gradientAt(accuracyAlone).first.tokens == trained(4, 5));
    batch.importanceWeights.assign(batch.tokens.size(), 1.0f);
    std::fill(batch.importanceWeights.begin() + batch.offsets[4], batch.importanceWeights.end(), 0.0f);
    CHECK(gradientAt(typicalLoss()).first.tokens == trained(3, 4));
  }
}

TEST_CASE("learner: a step of which nothing has a gradient moves only what momentum and decay move") {
  ReferenceBackend backend;
  const ModelConfig config = smallConfig();
  const auto learner = learnerFor(backend, config, 37);
  TrainingBatch batch = policyBatch(config);
  batch.accuracyAdvantages.assign(5, 0.0f);
  batch.efficiencyAdvantages.assign(5, 0.0f);
  const std::vector<float> before = values(learner->parameters().flat());
  const StepResult result =
      learner->policyStep(batch, Aggregation::TokenMean, typicalLoss(), typicalOptimizer(), nullptr);
  CHECK(values(learner->parameters().flat()) == before);
  CHECK(learner->optimizerStep() == 1);
  CHECK_FALSE(result.skipped);
  CHECK(result.sums.microBatches == 0);
  CHECK(result.sums.tokens == 0);
  CHECK(result.sums.trainedTokens == 13);
  CHECK(result.meanEntropy == 0);
  CHECK(result.gradientNorm == 0);
  batch.accuracyAdvantages[4] = std::numeric_limits<float>::quiet_NaN();
  CHECK(
      learner->policyStep(batch, Aggregation::TokenMean, typicalLoss(), typicalOptimizer(), nullptr).skipped);
}

TEST_CASE("learner: recomputation changes no bit of the gradient") {
  for (const auto& backend : allBackends()) {
    const ModelConfig config = smallConfigs().back().config;
    const TrainingBatch batch = policyBatch(config);
    std::vector<float> gradients[2];
    for (const bool recompute : {false, true}) {
      const auto learner = learnerFor(*backend, config, 34, recompute);
      learner->accumulate(batch, Aggregation::TokenMean, everyTerm(), 12, false, nullptr);
      gradients[recompute] = values(learner->gradients().flat());
    }
    CHECK(gradients[0] == gradients[1]);
  }
}

TEST_CASE("learner: logprobs equal those of the training forward, whatever the split") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const ModelConfig config = smallConfigs().back().config;
    const auto learner = learnerFor(*backend, config, 35);
    TrainingBatch batch = policyBatch(config);
    std::vector<float> logprobs(32), entropies(32), split(32);
    learner->logprobs(learner->parameters(), batch.tokens, batch.offsets, 1.3f, kWholeBatch, logprobs.data(),
                      entropies.data());
    learner->logprobs(learner->parameters(), batch.tokens, batch.offsets, 1.3f, 8, split.data(), nullptr);
    CHECK(relativeDifference(split, logprobs) < 1e-6);
    double entropy = 0;
    for (size_t t = 0; t < 32; ++t) {
      const bool first = std::find(batch.offsets.begin(), batch.offsets.end(), t) != batch.offsets.end();
      CHECK((logprobs[t] == 0) == first);
      CHECK((entropies[t] == 0) == first);
      entropy += batch.mask[t] ? entropies[t] : 0;
    }
    batch.oldLogprobs = logprobs;
    const StepResult result =
        learner->policyStep(batch, Aggregation::TokenMean, everyTerm(), typicalOptimizer(), nullptr);
    CHECK(result.sums.logprobDifference < 1e-5);
    CHECK(result.meanEntropy == doctest::Approx(entropy / 13).epsilon(1e-5));
    CHECK(result.tokens == 32);
  }
}

TEST_CASE("learner: supervised training learns a tiny batch by heart") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    ModelConfig config = smallConfig();
    config.hiddenSize = 16;
    config.headDim = 8;
    OwningLearner learner(*backend, config, false);
    learner.parameters().initialize(3);
    const TrainingBatch batch = policyBatch(config);
    OptimizerOptions options = typicalOptimizer();
    options.learningRate = 1e-2f;
    double first = 0, last = 0;
    for (int step = 0; step < 150; ++step) {
      const StepResult result = learner.supervisedStep(batch, options, nullptr);
      REQUIRE(!result.skipped);
      if (step == 0) first = result.sums.loss;
      last = result.sums.loss;
    }
    CHECK(first == doctest::Approx(std::log(13.0)).epsilon(0.05));
    CHECK(last < 0.02);
    CHECK(learner.optimizerStep() == 150);
  }
}

TEST_CASE("learner: a policy step makes tokens of positive advantage likelier, of negative less likely") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const ModelConfig config = smallConfig();
    const auto learner = learnerFor(*backend, config, 36);
    TrainingBatch batch = policyBatch(config);
    alignOldLogprobs(*learner, batch, 1, 0);
    const std::vector<float> before = batch.oldLogprobs;
    learner->policyStep(batch, Aggregation::TokenMean, typicalLoss(), typicalOptimizer(), nullptr);
    std::vector<float> after(32);
    learner->logprobs(learner->parameters(), batch.tokens, batch.offsets, 1, kWholeBatch, after.data(),
                      nullptr);
    double gain = 0;
    for (size_t s = 0; s < 5; ++s) {
      for (int32_t t = batch.offsets[s]; t < batch.offsets[s + 1]; ++t) {
        gain += batch.mask[t] * batch.accuracyAdvantages[s] * (after[t] - before[t]);
      }
    }
    CHECK(gain > 0);
  }
}

TEST_CASE("learner: the gradient is clipped to its norm, and decay touches matrices only") {
  ReferenceBackend backend;
  const ModelConfig config = smallConfigs()[2].config;  // with biases
  const TrainingBatch batch = policyBatch(config);
  OptimizerOptions options = typicalOptimizer();
  options.epsilon = 1e6f;  // the update is then lr * momentum / epsilon: proportional to the clipped gradient
  options.learningRate = 1e6f;
  std::vector<float> updates[2];
  double norm = 0;
  for (const bool clipped : {false, true}) {
    const auto learner = learnerFor(backend, config, 37);
    const std::vector<float> before = values(learner->parameters().flat());
    options.maxGradientNorm = clipped ? static_cast<float>(norm / 4) : 0;
    norm = learner->supervisedStep(batch, options, nullptr).gradientNorm;
    const std::vector<float> after = values(learner->parameters().flat());
    for (size_t i = 0; i < after.size(); ++i)
      updates[clipped].push_back((after[i] - before[i]) * (clipped ? 4.0f : 1.0f));
  }
  CHECK(relativeDifference(updates[1], updates[0]) < 1e-3);

  OptimizerOptions decaying = typicalOptimizer();
  decaying.learningRate = 1e-3f;
  std::vector<float> results[2];
  for (const bool decay : {false, true}) {
    const auto learner = learnerFor(backend, config, 38);
    decaying.weightDecay = decay ? 10.0f : 0;
    learner->supervisedStep(batch, decaying, nullptr);
    results[decay] = values(learner->parameters().flat());
  }
  Parameters original(backend, config);
  randomise(original, 38);
  for (const ParameterEntry& entry : original.entries()) {
    CAPTURE(entry.name);
    for (int64_t i = entry.offset; i < entry.offset + entry.count; ++i) {
      const double expected = entry.decays ? -0.01 * original.flat().f32()[i] : 0;
      CHECK(results[1][i] - results[0][i] == doctest::Approx(expected).epsilon(1e-3).scale(1e-3));
    }
  }
}

TEST_CASE("learner: a loss or gradient that is not finite changes nothing") {
  for (const auto& backend : allBackends()) {
    for (const float poison :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      for (const bool supervised : {false, true}) {
        CAPTURE(backend->name());
        CAPTURE(poison);
        CAPTURE(supervised);
        const ModelConfig config = smallConfig();
        const TemporaryFolder folder;
        const auto learner = learnerFor(*backend, config, 39);
        const TrainingBatch batch = policyBatch(config);
        learner->supervisedStep(batch, typicalOptimizer(), nullptr);
        learner->saveOptimizer(folder.file("before"));
        learner->parameters().layers[1].down.f32()[5] = poison;
        const std::vector<float> weights = values(learner->parameters().flat());
        const StepResult result = supervised
                                      ? learner->supervisedStep(batch, typicalOptimizer(), nullptr)
                                      : learner->policyStep(batch, Aggregation::TokenMean, typicalLoss(),
                                                            typicalOptimizer(), nullptr);
        CHECK(result.skipped);
        CHECK(learner->optimizerStep() == 1);
        CHECK(backend->sumOfSquares(learner->gradients().flat()) == 0);
        CHECK(std::memcmp(weights.data(), learner->parameters().flat().data,
                          learner->parameters().flat().bytes()) == 0);
        learner->saveOptimizer(folder.file("after"));
        CHECK(readFile(folder.file("before")) == readFile(folder.file("after")));
      }
    }
  }
}

TEST_CASE("learner: an advantage that is not finite skips the step") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const auto learner = learnerFor(*backend, smallConfig(), 40);
    TrainingBatch batch = policyBatch(smallConfig());
    batch.accuracyAdvantages[2] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> weights = values(learner->parameters().flat());
    CHECK(learner->policyStep(batch, Aggregation::TokenMean, typicalLoss(), typicalOptimizer(), nullptr)
              .skipped);
    CHECK(values(learner->parameters().flat()) == weights);
  }
}

TEST_CASE("learner: importance weights scale both channels' gradient token by token, and nothing else") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const ModelConfig config = smallConfig();
    const auto learner = learnerFor(*backend, config, 44);
    TrainingBatch batch = policyBatch(config);
    PolicyLossOptions loss = typicalLoss();
    loss.klCoefficient = 0.3f;
    loss.entropyCoefficient = 0.2f;
    const auto gradient = [&](const std::vector<float>& weights) {
      batch.importanceWeights = weights;
      learner->accumulate(batch, Aggregation::TokenMean, loss, 12, false, nullptr);
      return values(learner->gradients().flat());
    };
    const std::vector<float> plain = gradient({}), ones = gradient(std::vector<float>(32, 1.0f));
    CHECK(plain == ones);
    // The loss is linear in the weights: the halves of the tokens add up to the whole and the unweighted KL
    // and entropy.
    std::vector<float> even(32), odd(32);
    for (size_t t = 0; t < 32; ++t) (t % 2 ? odd : even)[t] = 1;
    const std::vector<float> none = gradient(std::vector<float>(32, 0.0f));
    std::vector<float> sum = gradient(even);
    const std::vector<float> other = gradient(odd);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += other[i] - none[i];
    CHECK(relativeDifference(sum, plain) < 1e-5);
    CHECK(relativeDifference(none, plain) > 0.1);
    batch.importanceWeights.assign(31, 1.0f);
    const auto refused = [&] {
      return refusal([&] { learner->accumulate(batch, Aggregation::TokenMean, loss, 12, false, nullptr); });
    };
    CHECK(contains(refused(), "importanceWeights has 31"));
    batch.importanceWeights.assign(32, 1.0f);
    batch.importanceWeights[2] = -1;
    CHECK(contains(refused(), "importanceWeights[2]"));
  }
}

TEST_CASE("learner: an abort changes nothing") {
  ReferenceBackend backend;
  const auto learner = learnerFor(backend, smallConfig(), 41);
  const TrainingBatch batch = policyBatch(smallConfig());
  const std::vector<float> weights = values(learner->parameters().flat());
  std::atomic<bool> aborted = true;
  std::vector<float> logprobs(32);
  CHECK(refusal([&] {
          learner->supervisedStep(batch, typicalOptimizer(), &aborted);
        }).starts_with("ERR_ABORTED"));
  CHECK(refusal([&] {
          learner->logprobs(learner->parameters(), batch.tokens, batch.offsets, 1, 8, logprobs.data(),
                            nullptr, &aborted);
        }).starts_with("ERR_ABORTED"));
  CHECK(values(learner->parameters().flat()) == weights);
  CHECK(backend.sumOfSquares(learner->gradients().flat()) == 0);
  CHECK(learner->optimizerStep() == 0);
  aborted = false;
  CHECK(!learner->supervisedStep(batch, typicalOptimizer(), &aborted).skipped);
}

TEST_CASE("learner: malformed batches are refused") {
  ReferenceBackend backend;
  const auto learner = learnerFor(backend, smallConfig(), 42);
  const auto refused = [&](const std::function<void(TrainingBatch&)>& damage, float klCoefficient = 0) {
    TrainingBatch batch = policyBatch(smallConfig());
    damage(batch);
    PolicyLossOptions loss = typicalLoss();
    loss.klCoefficient = klCoefficient;
    return refusal([&] { learner->accumulate(batch, Aggregation::TokenMean, loss, 8, false, nullptr); });
  };
  CHECK(refused([](TrainingBatch&) {}).empty());
  CHECK(contains(refused([](TrainingBatch& b) { b.offsets = {0}; }), "ERR_BATCH offsets"));
  CHECK(contains(refused([](TrainingBatch& b) { b.offsets.back() = 31; }), "ERR_BATCH offsets"));
  CHECK(contains(refused([](TrainingBatch& b) { b.offsets[2] = 7; }), "sequence 1"));
  CHECK(contains(refused([](TrainingBatch& b) { b.mask.pop_back(); }), "mask has 31"));
  CHECK(contains(refused([](TrainingBatch& b) { b.mask[4] = 2; }), "mask[4] is 2"));
  CHECK(contains(refused([](TrainingBatch& b) {
                   b.mask[10] = 2;
                   b.excludedToken = b.tokens[10];
                 }),
                 "is the excludedToken"));
  CHECK(contains(refused([](TrainingBatch& b) { b.mask[8] = 1; }), "first token of sequence 2"));
  CHECK(
      contains(refused([](TrainingBatch& b) { b.mask.assign(32, 0); }), "no token of the batch is trained"));
  CHECK(contains(refused([](TrainingBatch& b) { b.tokens[9] = 13; }), "outside the vocabulary"));
  CHECK(contains(refused([](TrainingBatch& b) { b.oldLogprobs.clear(); }), "oldLogprobs"));
  CHECK(contains(refused([](TrainingBatch& b) { b.accuracyAdvantages.pop_back(); }), "accuracyAdvantages"));
  CHECK(contains(refused([](TrainingBatch& b) { b.efficiencyAdvantages.clear(); }), "efficiencyAdvantages"));
  CHECK(contains(refused([](TrainingBatch& b) { b.referenceLogprobs.pop_back(); }), "referenceLogprobs"));
  CHECK(contains(refused([](TrainingBatch& b) { b.referenceLogprobs.clear(); }, 0.1f), "klCoefficient"));
  CHECK(contains(refusal([&] {
                   learner->accumulate(policyBatch(smallConfig()), Aggregation::TokenMean, typicalLoss(), 0,
                                       true, nullptr);
                 }),
                 "microBatchTokens"));
}
