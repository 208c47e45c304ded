// The public form of the fused loss, on any backend: arrays of the host, in which trained tokens and others
// are mixed.
#pragma once

#include "ops/backend.h"

namespace hdpo {

struct LinearPolicyLossInput {
  int64_t tokens = 0, hiddenSize = 0, vocabSize = 0;
  const float* hidden = nullptr;      // [N, D]
  const float* weight = nullptr;      // [V, D]
  const int32_t* targets = nullptr;   // [N]
  const uint8_t* mask = nullptr;      // [N] not 0: trained, forward and backward; 0: forward alone
  const TokenTerms* terms = nullptr;  // [N]
  PolicyLossOptions options;
};

// The gradients hold zeros when they are handed over: what no trained token reaches is not written.
struct LinearPolicyLossOutput {
  float* logprobs = nullptr;    // [N] of the targets, at the temperature
  float* entropy = nullptr;     // [N]
  float* gradHidden = nullptr;  // [N, D]
  float* gradWeight = nullptr;  // [V, D]
};

// Where the host does not read the backend's memory as its own, hidden, weight and both gradients are copied
// there and back. workspaceBytes of the result does not count those copies.
PolicyLossSums linearPolicyLoss(Backend& backend, const LinearPolicyLossInput& input,
                                const LinearPolicyLossOutput& output);

}  // namespace hdpo
