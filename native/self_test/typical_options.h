// The options that the rows of the table, the rules and the native tests run with where they are not about
// one. Native code has no defaults of its own: those of users are in lib/native.
#pragma once

#include "generation/generator.h"
#include "ops/backend.h"

namespace hdpo {

constexpr float kTypicalEpsilon = 1e-6f;  // of grouped advantages

inline PolicyLossOptions typicalLoss() {
  return {.temperature = 1,
          .clipLow = 0.2f,
          .clipHigh = 0.2f,
          .dualClip = 3,
          .accuracyWeight = 1,
          .efficiencyWeight = 0.15f,
          .klCoefficient = 0,
          .entropyCoefficient = 0};
}

inline AdamWOptions typicalAdamW() {
  return {.learningRate = 1e-4f, .beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .weightDecay = 0};
}

inline SamplingOptions typicalSampling() {
  SamplingOptions options;
  options.maxTokens = 256;
  options.temperature = options.topP = 1;
  return options;
}

}  // namespace hdpo
