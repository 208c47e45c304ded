// Rows of the table for what this project exists for: advantages, the policy loss from logits, and the last
// projection fused with it.
#include <algorithm>
#include <cmath>
#include <memory>

#include "core/random.h"
#include "self_test/cases.h"
#include "self_test/poison.h"
#include "self_test/typical_options.h"

namespace hdpo::self_test {

namespace {

// Groups of eight rollouts in a scrambled order, with ids of both signs. Some groups are all right, all wrong
// or have equal calls.
struct Rollouts {
  std::vector<int32_t> groupIds, toolCalls;
  std::vector<float> rewards, costs;
  std::vector<uint8_t> correct;

  explicit Rollouts(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t place = count % 7919 == 0 ? i : i * 7919 % count, group = place / 8;
      const auto draw = philox(5, 1, static_cast<uint64_t>(i));
      const bool right = group % 5 == 0 || (group % 5 != 1 && draw[0] % 2 == 0);
      groupIds.push_back(static_cast<int32_t>(group * 2654435761u));
      toolCalls.push_back(group % 7 == 3 ? 2 : static_cast<int32_t>(draw[1] % 5));
      costs.push_back(0.25f * static_cast<float>(draw[2] % 9));
      correct.push_back(right);
      rewards.push_back(0.9f * static_cast<float>(right) + 0.1f * static_cast<float>(draw[3] % 2));
    }
  }
};

template <bool costs, bool scaleByStd>
OpCase groupAdvantages(const CaseShape& s) {
  OpCase given;
  const int64_t count = 7 * s.tokens;
  given.input({1});  // every case needs a tensor to wait for
  const auto rollouts = std::make_shared<Rollouts>(count);
  given.run = [=](Backend& backend, Call& call) {
    const size_t size = static_cast<size_t>(count);
    std::vector<float> efficiency(size, kPoison), accuracy(size, kPoison), advantages(size, kPoison);
    GroupAdvantagesInput input;
    input.rollouts = count;
    input.groupIds = rollouts->groupIds.data();
    input.accuracyRewards = rollouts->rewards.data();
    input.correct = rollouts->correct.data();
    input.toolCalls = rollouts->toolCalls.data();
    if (costs) input.toolCosts = rollouts->costs.data();
    input.epsilon = kTypicalEpsilon;
    input.scaleByStd = scaleByStd;
    backend.groupAdvantages(input, {efficiency.data(), accuracy.data(), advantages.data()});
    for (const auto* values : {&efficiency, &accuracy, &advantages}) call.hostResults.push_back(*values);
  };
  given.bytes = 25.0 * static_cast<double>(count);
  return given;
}

// Terms of tokens that reach every branch of the loss.
std::vector<TokenTerms> termsOf(int64_t count, int64_t vocabSize, bool supervised) {
  std::vector<TokenTerms> terms(static_cast<size_t>(count));
  const float centre = -std::log(static_cast<float>(vocabSize));
  for (size_t t = 0; t < terms.size(); ++t) {
    const auto draw = [t](uint64_t stream) { return normal(9, stream, t); };
    if (supervised) {
      terms[t].supervisedScale = 1 / static_cast<float>(count);
      terms[t].excludedToken = t % 4 == 1 ? static_cast<int32_t>(vocabSize) - 1 : -1;
      continue;
    }
    terms[t].oldLogprob = centre + (t % 5 == 4 ? 3 : 0.3f) * draw(0) - (t % 11 == 10 ? 25 : 0);
    terms[t].referenceLogprob = centre + 0.5f * draw(1);
    terms[t].accuracyAdvantage = t % 7 == 6 ? 0 : draw(2);
    terms[t].efficiencyAdvantage = t % 3 == 2 ? 0 : draw(3);
    terms[t].accuracyScale = 1 / static_cast<float>(count);
    terms[t].efficiencyScale = t % 3 == 2 ? 0 : 1.5f / static_cast<float>(count);
  }
  return terms;
}

std::vector<int32_t> targetsOf(int64_t count, int64_t vocabSize) {
  std::vector<int32_t> targets;
  for (int64_t t = 0; t < count; ++t) targets.push_back(static_cast<int32_t>(t * 31 % (vocabSize - 1)));
  return targets;
}

PolicyLossOptions allTerms() {
  PolicyLossOptions options = typicalLoss();
  options.temperature = 0.8f;
  options.clipHigh = 0.28f;
  options.klCoefficient = 0.05f;
  options.entropyCoefficient = 0.02f;
  return options;
}

// Losses are sums of terms of both signs, which may cancel. They form one result, so that each is compared
// relative to the size of all. Counts are exact.
void appendSums(Call& call, const PolicyLossSums& sums) {
  call.hostResults.push_back({static_cast<float>(sums.loss), static_cast<float>(sums.accuracyLoss),
                              static_cast<float>(sums.efficiencyLoss), static_cast<float>(sums.kl),
                              static_cast<float>(sums.supervisedLoss)});
  call.hostResults.push_back({static_cast<float>(sums.entropy)});
  call.hostResults.push_back({static_cast<float>(sums.logprobDifference)});
  call.hostResults.push_back({static_cast<float>(sums.tokens)});
  call.hostResults.push_back({static_cast<float>(sums.clippedLow)});
  call.hostResults.push_back({static_cast<float>(sums.clippedHigh)});
  call.hostResults.push_back({static_cast<float>(sums.dualClipped)});
}

OpCase policyLoss(const CaseShape& s) {
  OpCase given;
  given.input({1});
  const int64_t rows = std::min<int64_t>(s.tokens, 256);  // the host sends whole logits
  const size_t tokens = static_cast<size_t>(rows), logits = tokens * static_cast<size_t>(s.vocabSize);
  const auto values = std::make_shared<std::vector<float>>(logits);
  for (size_t i = 0; i < logits; ++i) (*values)[i] = 3 * uniform(3, 2, i) - 1.5f;
  std::vector<uint8_t> mask(tokens);
  for (size_t t = 0; t < tokens; ++t) mask[t] = t % 6 != 5;
  given.run = [=, targets = targetsOf(rows, s.vocabSize), terms = termsOf(rows, s.vocabSize, false)](
                  Backend& backend, Call& call) {
    std::vector<float> logprobs(tokens, kPoison), entropy(tokens, kPoison), gradLogprobs(tokens, kPoison);
    std::vector<float> gradLogits(logits, kPoison);
    const PolicyLossInput input{rows,        s.vocabSize,  values->data(), targets.data(),
                                mask.data(), terms.data(), allTerms()};
    const PolicyLossSums sums =
        backend.policyLoss(input, {logprobs.data(), entropy.data(), gradLogprobs.data(), gradLogits.data()});
    for (const auto* part : {&logprobs, &entropy, &gradLogprobs, &gradLogits})
      call.hostResults.push_back(*part);
    appendSums(call, sums);
  };
  given.bytes = 8.0 * static_cast<double>(logits);
  return given;
}

struct LinearVariant {
  DType weight = DType::Float32, hidden = DType::Float32;
  bool supervised = false, backward = true, frozen = false, everyTerm = false;
};

OpCase linearLossOf(const CaseShape& s, const LinearVariant& variant) {
  OpCase given;
  const float scale = 2 / std::sqrt(static_cast<float>(s.hidden));
  const size_t hidden = given.activationInput(variant.hidden, {s.tokens, s.hidden});
  const size_t weight = given.input({s.vocabSize, s.hidden}, scale, 0, variant.weight);
  const bool weightGradient = variant.backward && !variant.frozen;
  const size_t gradHidden =
      variant.backward ? given.activationOutput(variant.hidden, {s.tokens, s.hidden}) : 0;
  const size_t gradWeight = weightGradient ? given.inPlace({s.vocabSize, s.hidden}, 0.01f) : 0;
  given.run = [=, targets = targetsOf(s.tokens, s.vocabSize),
               terms = termsOf(s.tokens, s.vocabSize, variant.supervised)](Backend& backend, Call& call) {
    std::vector<float> logprobs(targets.size(), kPoison), entropy(targets.size(), kPoison);
    LinearLossInput input;
    input.hidden = call[hidden];
    input.weight = call[weight];
    input.targets = targets.data();
    input.terms = terms.data();
    input.options = variant.everyTerm ? allTerms() : typicalLoss();
    const PolicyLossSums sums = backend.linearLoss(
        input, {logprobs.data(), entropy.data(), variant.backward ? call[gradHidden] : Tensor(),
                weightGradient ? call[gradWeight] : Tensor()});
    call.hostResults.push_back(logprobs);
    call.hostResults.push_back(entropy);
    appendSums(call, sums);
  };
  const double product =
      2.0 * static_cast<double>(s.tokens) * static_cast<double>(s.vocabSize) * static_cast<double>(s.hidden);
  given.flops = product * (1 + (variant.backward ? 1 : 0) + (weightGradient ? 1 : 0));
  given.bytes = given.operandBytes();
  given.bfloat16Products = variant.weight == DType::BFloat16;
  // A gradient that lies between two bfloat16 numbers may be rounded to either.
  if (given.bfloat16Products) given.tolerance = 5e-3;
  return given;
}

OpCase linearLoss(const CaseShape& s) { return linearLossOf(s, {}); }
OpCase linearLossEveryTerm(const CaseShape& s) {
  LinearVariant variant;
  variant.everyTerm = true;
  return linearLossOf(s, variant);
}
OpCase linearLossSupervised(const CaseShape& s) {
  LinearVariant variant;
  variant.supervised = true;
  return linearLossOf(s, variant);
}
OpCase linearLossForward(const CaseShape& s) {
  LinearVariant variant;
  variant.backward = false;
  return linearLossOf(s, variant);
}
OpCase linearLossBFloat16(const CaseShape& s) {
  LinearVariant variant;
  variant.weight = DType::BFloat16;
  return linearLossOf(s, variant);
}
OpCase linearLossFrozen(const CaseShape& s) {
  LinearVariant variant;
  variant.weight = DType::BFloat16;
  variant.frozen = true;
  return linearLossOf(s, variant);
}
OpCase linearLossBFloat16Hidden(const CaseShape& s) {
  LinearVariant variant;
  variant.weight = variant.hidden = DType::BFloat16;
  return linearLossOf(s, variant);
}

}  // namespace

void appendLossCases(std::vector<OpRow>& rows) {
  rows.push_back({"groupAdvantages", groupAdvantages<false, true>});
  rows.push_back({"groupAdvantages, costs", groupAdvantages<true, true>});
  rows.push_back({"groupAdvantages, unscaled", groupAdvantages<false, false>});
  rows.push_back({"policyLoss", policyLoss});
  rows.push_back({"linearLoss", linearLoss});
  rows.push_back({"linearLoss, KL and entropy", linearLossEveryTerm});
  rows.push_back({"linearLoss, supervised", linearLossSupervised});
  rows.push_back({"linearLoss, forward", linearLossForward});
  rows.push_back({"linearLoss, bfloat16 weight", linearLossBFloat16});
  rows.push_back({"linearLoss, frozen weight", linearLossFrozen});
}

void appendBFloat16LossCases(std::vector<OpRow>& rows) {
  rows.push_back({"linearLoss, bfloat16 hidden and weight", linearLossBFloat16Hidden});
}

}  // namespace hdpo::self_test
