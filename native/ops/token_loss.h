// The loss of one token given its logprob (docs/algorithm.md, "Loss"), in float64: what the plain and the
// fused policy loss of every backend share.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/host_device.h"
#include "ops/policy_loss.h"

namespace hdpo {

enum class Clip : uint8_t { None, Low, High, Dual };

// One channel's clipped surrogate, unscaled.
struct ChannelLoss {
  double loss = 0;
  double gradLogprob = 0;
  Clip clip = Clip::None;
};

// difference = logprob - oldLogprob, ratio its exponential. Comparisons with NaN are false, so that a NaN
// ends up in loss and gradient.
HDPO_HOST_DEVICE inline ChannelLoss channelLoss(double advantage, double difference, double ratio,
                                                const PolicyLossOptions& options) {
  constexpr double kLargestDifference = 20;
  const double low = 1 - double{options.clipLow}, high = 1 + double{options.clipHigh};
  const double plain = -advantage * ratio, bounded = -advantage * std::clamp(ratio, low, high);
  // d ratio / d logprob = ratio, and 0 where the difference has been clamped.
  ChannelLoss result{plain, std::abs(difference) > kLargestDifference ? 0 : plain, Clip::None};
  if (bounded > plain) result = {bounded, 0, ratio < low ? Clip::Low : Clip::High};
  const double ceiling = -advantage * double{options.dualClip};
  if (advantage < 0 && result.loss > ceiling) result = {ceiling, 0, Clip::Dual};
  return result;
}

// All but `entropy`, `difference` and `clip` are scaled by the token's share of the step.
struct TokenLoss {
  double loss = 0, accuracy = 0, efficiency = 0, kl = 0, supervised = 0;
  double entropy = 0;
  double difference = 0;   // |logprob - oldLogprob|; 0 in supervised training
  double gradLogprob = 0;  // of `loss`, the entropy bonus left out
  Clip clip = Clip::None;
};

HDPO_HOST_DEVICE inline TokenLoss tokenLoss(const TokenTerms& terms, const PolicyLossOptions& options,
                                            double logprob, double entropy) {
  TokenLoss result;
  result.entropy = entropy;
  if (terms.supervisedScale != 0) {
    result.loss = result.supervised = -double{terms.supervisedScale} * logprob;
    result.gradLogprob = -double{terms.supervisedScale};
    return result;
  }
  const double difference = logprob - double{terms.oldLogprob}, scale = terms.accuracyScale;
  const double ratio = std::exp(std::clamp(difference, -20.0, 20.0));
  const ChannelLoss accuracy = channelLoss(terms.accuracyAdvantage, difference, ratio, options);
  const ChannelLoss efficiency = channelLoss(terms.efficiencyAdvantage, difference, ratio, options);
  result.difference = std::abs(difference);
  result.clip = accuracy.clip;
  result.accuracy = scale * accuracy.loss;
  result.efficiency = double{terms.efficiencyScale} * efficiency.loss;
  result.loss = options.accuracyWeight * result.accuracy + options.efficiencyWeight * result.efficiency -
                options.entropyCoefficient * scale * entropy;
  result.gradLogprob = options.accuracyWeight * scale * accuracy.gradLogprob +
                       options.efficiencyWeight * double{terms.efficiencyScale} * efficiency.gradLogprob;
  if (options.klCoefficient == 0) return result;
  // k3 (Schulman 2020): exp(x) - x - 1 with x = reference - policy.
  const double toReference = double{terms.referenceLogprob} - logprob;
  result.kl = scale * (std::expm1(toReference) - toReference);
  result.loss += options.klCoefficient * result.kl;
  result.gradLogprob -= options.klCoefficient * scale * std::expm1(toReference);
  return result;
}

// To be called in the order of the tokens, so that sums do not depend on the number of threads.
HDPO_HOST_DEVICE inline void addToken(PolicyLossSums& sums, const TokenLoss& token) {
  sums.loss += token.loss;
  sums.accuracyLoss += token.accuracy;
  sums.efficiencyLoss += token.efficiency;
  sums.kl += token.kl;
  sums.supervisedLoss += token.supervised;
  sums.entropy += token.entropy;
  // Not std::max, which may drop a NaN.
  if (token.difference > sums.logprobDifference || std::isnan(token.difference)) {
    sums.logprobDifference = token.difference;
  }
  sums.tokens += 1;
  sums.clippedLow += token.clip == Clip::Low;
  sums.clippedHigh += token.clip == Clip::High;
  sums.dualClipped += token.clip == Clip::Dual;
}

}  // namespace hdpo
