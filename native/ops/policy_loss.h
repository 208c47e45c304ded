// Shapes of the HDPO kernels (arXiv 2604.08545; its rules are restated in docs/algorithm.md). All pointers
// are arrays of the host, tensors in the backend's memory.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace hdpo {

enum class Aggregation : uint8_t { TokenMean, SequenceMeanTokenMean, SequenceMeanTokenSum };

// Grouped advantages of R rollouts: accuracy over the whole group, efficiency over its right rollouts only.
struct GroupAdvantagesInput {
  int64_t rollouts = 0;
  const int32_t* groupIds = nullptr;       // [R] any values, any order
  const float* accuracyRewards = nullptr;  // [R]
  const uint8_t* correct = nullptr;        // [R] 0 or 1
  const int32_t* toolCalls = nullptr;      // [R] >= 0
  float epsilon = 0;                       // added to standard deviations
  bool scaleByStd = false;                 // false: Dr. GRPO
  // [R] >= 0: what the calls of a rollout cost together. Where it is given it takes the place of toolCalls.
  const float* toolCosts = nullptr;
};
struct GroupAdvantagesOutput {
  float* efficiencyRewards = nullptr;     // [R] 1 / (1 + calls or cost) where correct, else 0
  float* accuracyAdvantages = nullptr;    // [R]
  float* efficiencyAdvantages = nullptr;  // [R]
};

// Has no defaults: lib/native/loss-options.ts has them, and whoever makes one sets every field. A temperature
// of 0 is none.
struct PolicyLossOptions {
  float temperature = 0;
  float clipLow = 0, clipHigh = 0, dualClip = 0;
  float accuracyWeight = 0, efficiencyWeight = 0;
  float klCoefficient = 0, entropyCoefficient = 0;
};

// What one trained token needs beside its logprob. The scales hold the whole optimiser step's denominators
// (see channelScales), so that micro-batches add up to the same gradient however the step is split.
struct TokenTerms {
  float oldLogprob = 0, referenceLogprob = 0;
  float accuracyAdvantage = 0, efficiencyAdvantage = 0;
  float accuracyScale = 0;    // L_acc = sum of accuracyScale * l_acc; also the scale of KL and entropy
  float efficiencyScale = 0;  // 0 where the sequence's efficiency advantage is 0
  float supervisedScale = 0;  // supervised loss = sum of -supervisedScale * logprob; policy terms are 0 then
  // Left out of the softmax, as a logit bias of -infinity does; -1: none. For linearLoss only.
  int32_t excludedToken = -1;
};

// Sums over tokens, already scaled. loss = accuracyWeight * accuracyLoss + efficiencyWeight * efficiencyLoss
// + klCoefficient * kl - entropyCoefficient * (scaled entropy) + supervisedLoss.
struct PolicyLossSums {
  double loss = 0, accuracyLoss = 0, efficiencyLoss = 0, kl = 0, supervisedLoss = 0;
  double entropy = 0;            // plain sum over trained tokens, nats
  double logprobDifference = 0;  // largest |logprob - oldLogprob| over trained policy tokens
  int64_t tokens = 0;            // trained tokens
  // Tokens whose accuracy-channel gradient a clip removed.
  int64_t clippedLow = 0, clippedHigh = 0, dualClipped = 0;
  size_t workspaceBytes = 0;  // peak temporary memory of the call
};

// The denominators of a whole step: for each of S sequences the scale of its tokens in each channel. mask
// [N], offsets [S + 1], efficiencyAdvantages and both scales [S].
void channelScales(Aggregation aggregation, int64_t sequences, const int32_t* offsets, const uint8_t* mask,
                   const float* efficiencyAdvantages, float* accuracyScales, float* efficiencyScales);

// What a policy step knows of its tokens, laid end to end: sequence s is tokens [offsets[s], offsets[s + 1]).
struct PolicySequences {
  int64_t sequences = 0;
  const int32_t* offsets = nullptr;             // [S + 1]
  const uint8_t* mask = nullptr;                // [N]
  const float* oldLogprobs = nullptr;           // [N]
  const float* referenceLogprobs = nullptr;     // [N] or null
  const float* accuracyAdvantages = nullptr;    // [S]
  const float* efficiencyAdvantages = nullptr;  // [S]
};

// The terms of all N tokens, masked-out ones too, with the scales of the whole step.
std::vector<TokenTerms> policyTerms(Aggregation aggregation, const PolicySequences& given);

// The plain formulation, from logits: the public kernel. Rows whose mask is 0 take no part and get gradients
// of 0.
struct PolicyLossInput {
  int64_t tokens = 0, vocabSize = 0;
  const float* logits = nullptr;      // [N, V]
  const int32_t* targets = nullptr;   // [N]
  const uint8_t* mask = nullptr;      // [N]
  const TokenTerms* terms = nullptr;  // [N]
  PolicyLossOptions options;
};
struct PolicyLossOutput {
  float* logprobs = nullptr;  // [N] of the targets, at the temperature, masked-out rows too
  float* entropy = nullptr;   // [N]
  // [N] dL/dlogprob, without the entropy bonus, whose gradient goes straight to the logits.
  float* gradLogprobs = nullptr;
  float* gradLogits = nullptr;  // [N, V], may be null
};

// The last projection fused with the loss: logits = hidden * weight^T in tiles, so that [M, V] never exists.
// Every row is a trained token.
struct LinearLossInput {
  Tensor hidden;                      // [M, D], float32 or the weight's type
  Tensor weight;                      // [V, D], float32 or bfloat16
  const int32_t* targets = nullptr;   // [M]
  const TokenTerms* terms = nullptr;  // [M]
  PolicyLossOptions options;
  size_t workspaceLimit = size_t{120} << 20;  // bytes of logits at any time, at most (at least 16 of one row)
};
struct LinearLossOutput {
  float* logprobs = nullptr;  // [M]
  float* entropy = nullptr;   // [M], may be null
  Tensor gradHidden;          // [M, D] = of hidden's type, empty: forward only
  Tensor gradWeight;          // [V, D] +=, float32; empty: forward only, or the weight is frozen
};

}  // namespace hdpo
