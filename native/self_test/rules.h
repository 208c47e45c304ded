// The rules of HDPO (docs/algorithm.md) on small cases, each named after what it requires of a device. The
// rows of the table compare a GPU with the CPU; these rules compare every device with the float64 formulas.
#pragma once

#include <cstdint>
#include <vector>

#include "self_test/op_case.h"
#include "self_test/typical_options.h"

namespace hdpo::self_test {

// Rollouts of several prompts, and how their advantages are normalised.
struct RolloutGroups {
  std::vector<int32_t> groupIds;
  std::vector<float> accuracyRewards;
  std::vector<uint8_t> correct;
  std::vector<int32_t> toolCalls;
  float epsilon = kTypicalEpsilon;
  bool scaleByStd = true;
};

// N tokens of S sequences, with their logits.
struct LossBatch {
  int64_t vocabSize = 0;
  std::vector<float> logits;                                    // [N, V]
  std::vector<int32_t> targets;                                 // [N]
  std::vector<uint8_t> mask;                                    // [N]
  std::vector<int32_t> offsets;                                 // [S + 1]
  std::vector<float> oldLogprobs, referenceLogprobs;            // [N]
  std::vector<float> accuracyAdvantages, efficiencyAdvantages;  // [S]
  Aggregation aggregation = Aggregation::TokenMean;
  PolicyLossOptions options = typicalLoss();
};

// Results on the host: efficiency rewards, accuracy advantages, efficiency advantages.
OpCase advantagesCase(const RolloutGroups& rollouts);
// Results on the host: logprobs, entropy, gradLogprobs, gradLogits, {loss, accuracy loss, efficiency loss,
// KL}.
OpCase policyLossCase(const LossBatch& batch);

struct Rule {
  const char* name;
  OpCase given;
};

std::vector<Rule> advantageRules();
std::vector<Rule> policyLossRules();

}  // namespace hdpo::self_test
