// The input of an optimiser step, its checks, and the terms of the loss that follow from it.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/policy_loss.h"

namespace hdpo {

// The sequences of one optimiser step. Token t of a sequence is predicted from token t - 1. mask[t] = 1
// trains token t (never the first of a sequence).
struct TrainingBatch {
  std::vector<int32_t> tokens;   // [N]
  std::vector<int32_t> offsets;  // [S + 1]
  std::vector<uint8_t> mask;     // [N]; 2: trained with excludedToken out of the distribution
  int32_t excludedToken = -1;    // supervised training only
  // The rest is for policy training only.
  std::vector<float> oldLogprobs;           // [N]
  std::vector<float> referenceLogprobs;     // [N] or empty
  std::vector<float> accuracyAdvantages;    // [S]
  std::vector<float> efficiencyAdvantages;  // [S]
  // [N] or empty: a factor of each token's loss in both channels,
  //   L_c = sum over tokens of scale_c * w * l_c
  // It is for tokens that were drawn by another model than the one that is trained (truncated importance
  // sampling): w = min(cap, exp(logprob of the trained model before the step - logprob while sampling)). KL
  // and entropy are not weighted.
  std::vector<float> importanceWeights;
};

// Each check throws ERR_BATCH for what is malformed.
void checkOffsets(const std::vector<int32_t>& offsets, size_t tokenCount);
int64_t checkMask(const TrainingBatch& batch);  // returns the number of trained tokens
// The terms of all tokens, masked-out ones too.
std::vector<TokenTerms> supervisedTerms(const TrainingBatch& batch, int64_t trained);
std::vector<TokenTerms> policyTermsOf(const TrainingBatch& batch, Aggregation aggregation,
                                      const PolicyLossOptions& loss);

// Sequences laid end to end with the terms of their tokens, masked-out ones too.
struct LossSequences {
  std::vector<int32_t> tokens;    // [N]
  std::vector<int32_t> offsets;   // [S + 1]
  std::vector<uint8_t> mask;      // [N]
  std::vector<TokenTerms> terms;  // [N]
};

// The sequences of `batch` that have a token whose loss has a gradient. Where neither KL nor entropy count, a
// rollout with advantage 0 in both channels has none: every rollout of a group that agrees in its rewards and
// its calls, most of a step. The scales in `terms` are those of the whole step, so loss and gradient stay
// what they are.
LossSequences sequencesWithGradient(const TrainingBatch& batch, const std::vector<TokenTerms>& terms,
                                    const PolicyLossOptions& loss);

}  // namespace hdpo
