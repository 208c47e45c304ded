// The public form of the fused loss: arrays of the host, tokens that are trained and others mixed, on any
// backend.
#pragma once

#include "ops/backend.h"

namespace hdpo {

struct LinearPolicyLossInput {
  int64_t tokens = 0, hiddenSize = 0, vocabSize = 0;
  const float* hidden = nullptr;      // [N, D]
  const float* weight = nullptr;      // [V, D]
  const int32_t* targets = nullptr;   // [N]
  const uint8_t* mask = nullptr;      // [N] trained: forward and backward; the others: forward alone
  const TokenTerms* terms = nullptr;  // [N]
  PolicyLossOptions options;
};

// Zeros when they are handed over: what no trained token reaches is not written.
struct LinearPolicyLossOutput {
  float* logprobs = nullptr;    // [N] of the targets, at the temperature
  float* entropy = nullptr;     // [N]
  float* gradHidden = nullptr;  // [N, D]
  float* gradWeight = nullptr;  // [V, D]
};

// Where the host does not read the backend's memory as its own, hidden, weight and both gradients are copied
// there and back. workspaceBytes of the result is beside those.
PolicyLossSums linearPolicyLoss(Backend& backend, const LinearPolicyLossInput& input,
                                const LinearPolicyLossOutput& output);

}  // namespace hdpo
