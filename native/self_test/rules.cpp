#include "self_test/rules.h"

#include <cmath>
#include <utility>

#include "core/random.h"
#include "self_test/poison.h"

namespace hdpo::self_test {

namespace {

// Three sequences whose tokens lie inside both clips, beyond each, beyond the dual clip and beyond the clamp
// of the ratio's exponent, with advantages of both signs. Every seventh token is masked out.
LossBatch mixedBatch() {
  LossBatch batch;
  batch.vocabSize = 7;
  batch.offsets = {0, 9, 20, 30};
  batch.accuracyAdvantages = {1.2f, -0.9f, 0.4f};
  batch.efficiencyAdvantages = {0.8f, -1.1f, 0};
  constexpr float kOff[] = {0, 0.1f, -0.1f, 0.5f, -0.5f, 1.5f, -1.5f, 30, -30, 0.02f};
  const float centre = -std::log(7.0f);
  for (uint64_t t = 0; t < 30; ++t) {
    for (uint64_t v = 0; v < 7; ++v) batch.logits.push_back(2 * uniform(21, 1, 7 * t + v) - 1);
    batch.targets.push_back(static_cast<int32_t>(t * 5 % 7));
    batch.mask.push_back(t % 7 != 3);
    batch.oldLogprobs.push_back(centre + kOff[t % 10]);
    batch.referenceLogprobs.push_back(centre + 0.5f * (uniform(21, 2, t) - 0.5f));
  }
  return batch;
}

LossBatch aggregated(Aggregation aggregation) {
  LossBatch batch = mixedBatch();
  batch.aggregation = aggregation;
  return batch;
}

LossBatch withOption(float PolicyLossOptions::*option, float value) {
  LossBatch batch = mixedBatch();
  batch.options.*option = value;
  return batch;
}

}  // namespace

OpCase advantagesCase(const RolloutGroups& rollouts) {
  OpCase given;
  given.input({1});  // every case needs a tensor
  given.run = [rollouts](Backend& backend, Call& call) {
    const size_t count = rollouts.groupIds.size();
    std::vector<float> rewards(count, kPoison), accuracy(count, kPoison), efficiency(count, kPoison);
    GroupAdvantagesInput input;
    input.rollouts = static_cast<int64_t>(count);
    input.groupIds = rollouts.groupIds.data();
    input.accuracyRewards = rollouts.accuracyRewards.data();
    input.correct = rollouts.correct.data();
    input.toolCalls = rollouts.toolCalls.data();
    input.epsilon = rollouts.epsilon;
    input.scaleByStd = rollouts.scaleByStd;
    backend.groupAdvantages(input, {rewards.data(), accuracy.data(), efficiency.data()});
    call.hostResults = {std::move(rewards), std::move(accuracy), std::move(efficiency)};
  };
  return given;
}

OpCase policyLossCase(const LossBatch& batch) {
  OpCase given;
  given.input({1});
  const std::vector<TokenTerms> terms = policyTerms(
      batch.aggregation, {static_cast<int64_t>(batch.offsets.size()) - 1, batch.offsets.data(),
                          batch.mask.data(), batch.oldLogprobs.data(), batch.referenceLogprobs.data(),
                          batch.accuracyAdvantages.data(), batch.efficiencyAdvantages.data()});
  given.run = [batch, terms](Backend& backend, Call& call) {
    const size_t tokens = batch.targets.size();
    std::vector<float> logprobs(tokens, kPoison), entropy(tokens, kPoison), gradLogprobs(tokens, kPoison);
    std::vector<float> gradLogits(batch.logits.size(), kPoison);
    const PolicyLossInput input{static_cast<int64_t>(tokens),
                                batch.vocabSize,
                                batch.logits.data(),
                                batch.targets.data(),
                                batch.mask.data(),
                                terms.data(),
                                batch.options};
    const PolicyLossSums sums =
        backend.policyLoss(input, {logprobs.data(), entropy.data(), gradLogprobs.data(), gradLogits.data()});
    call.hostResults = {std::move(logprobs), std::move(entropy), std::move(gradLogprobs),
                        std::move(gradLogits)};
    call.hostResults.push_back({static_cast<float>(sums.loss), static_cast<float>(sums.accuracyLoss),
                                static_cast<float>(sums.efficiencyLoss), static_cast<float>(sums.kl)});
  };
  return given;
}

std::vector<Rule> advantageRules() {
  const float third = 1.0f / 3;
  const std::vector<int32_t> one(5, 4);
  const RolloutGroups both{one, {1, 0.1f, 0.9f, 1, 0}, {1, 0, 1, 1, 0}, {3, 0, 0, 1, 2}};
  RolloutGroups unscaled = both;
  unscaled.scaleByStd = false;
  const std::vector<std::pair<const char*, RolloutGroups>> rules = {
      {"accuracy over the group, efficiency over its right rollouts", both},
      {"no division by the standard deviation", unscaled},
      {"fewer than two right rollouts have no efficiency advantage",
       {one, {1, 0.1f, 0, 0, 0}, {1, 0, 0, 0, 0}, {3, 0, 0, 1, 2}}},
      {"equal rewards give exactly 0", {one, std::vector<float>(5, third), {1, 1, 1, 1, 1}, {2, 2, 2, 2, 2}}},
      {"equal calls give no efficiency advantage",
       {one, {1, 0.1f, 0.9f, 1, 0}, {1, 0, 1, 1, 0}, {1, 7, 1, 1, 9}}},
      {"a group of one has no advantage", {{-3}, {1}, {1}, {2}}},
      {"groups in any order do not touch each other",
       {{7, -2147483647, 7, 0, -2147483647, 7, 0, -2147483647},
        {1, 1, 0.1f, 0.9f, 0, 1, 1, 1},
        {1, 1, 0, 1, 0, 1, 1, 1},
        {0, 4, 1, 2, 2, 5, 2, 1}}},
  };
  std::vector<Rule> named;
  for (const auto& [name, rollouts] : rules) named.push_back({name, advantagesCase(rollouts)});
  return named;
}

std::vector<Rule> policyLossRules() {
  LossBatch accuracyAlone = mixedBatch();
  accuracyAlone.efficiencyAdvantages.assign(3, 0);
  LossBatch masked = mixedBatch();
  masked.mask.assign(masked.mask.size(), 0);
  const std::vector<std::pair<const char*, LossBatch>> rules = {
      {"ratio clamped, clipped at both sides and dual-clipped", mixedBatch()},
      {"asymmetric clip", withOption(&PolicyLossOptions::clipHigh, 0.6f)},
      {"temperature", withOption(&PolicyLossOptions::temperature, 0.7f)},
      {"efficiency weight", withOption(&PolicyLossOptions::efficiencyWeight, 2)},
      {"KL to the reference", withOption(&PolicyLossOptions::klCoefficient, 0.1f)},
      {"entropy bonus", withOption(&PolicyLossOptions::entropyCoefficient, 0.1f)},
      {"mean over sequences of token means", aggregated(Aggregation::SequenceMeanTokenMean)},
      {"mean over sequences of token sums", aggregated(Aggregation::SequenceMeanTokenSum)},
      {"no sequence with an efficiency advantage", accuracyAlone},
      {"nothing that is trained", masked},
  };
  std::vector<Rule> named;
  for (const auto& [name, batch] : rules) named.push_back({name, policyLossCase(batch)});
  return named;
}

}  // namespace hdpo::self_test
