// The reference's losses and advantages: docs/algorithm.md in plain loops over float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "core/float_formats.h"
#include "ops/backend.h"

namespace hdpo {

class ReferenceLosses : public Backend {
 public:
  PolicyLossSums linearLoss(const LinearLossInput& input, const LinearLossOutput& output) override {
    const int64_t vocab = input.weight.shape[0], width = input.weight.shape[1];
    const bool rounded = input.weight.dtype == DType::BFloat16;
    PolicyLossSums sums;
    std::vector<double> logits(static_cast<size_t>(vocab));
    for (int64_t r = 0; r < input.hidden.shape[0]; ++r) {
      for (int64_t v = 0; v < vocab; ++v) {
        double sum = 0;
        for (int64_t i = 0; i < width; ++i)
          sum += operand(input.hidden, r, i, rounded) * operand(input.weight, v, i, rounded);
        logits[v] = sum / input.options.temperature;
      }
      if (input.terms[r].excludedToken >= 0) logits[input.terms[r].excludedToken] = -1e30;
      const double total = logSum(logits), logprob = logits[input.targets[r]] - total;
      const double entropy = entropyOf(logits, total);
      output.logprobs[r] = static_cast<float>(logprob);
      if (output.entropy) output.entropy[r] = static_cast<float>(entropy);

      const TokenTerms& terms = input.terms[r];
      const double gradLogprob = tokenLoss(sums, terms, input.options, logprob, entropy);
      if (!output.gradHidden) continue;
      const auto grad = gradLogits(logits, total, entropy, input.targets[r], gradLogprob, terms.accuracyScale,
                                   input.options);
      for (int64_t i = 0; i < width; ++i) {
        double sum = 0;
        for (int64_t v = 0; v < vocab; ++v) {
          sum += grad[v] * operand(input.weight, v, i, rounded);
          if (!output.gradWeight) continue;
          at(output.gradWeight, v, i) += static_cast<float>(grad[v] * operand(input.hidden, r, i, rounded));
        }
        at(output.gradHidden, r, i) = static_cast<float>(sum);
      }
    }
    return sums;
  }

  PolicyLossSums policyLoss(const PolicyLossInput& input, const PolicyLossOutput& output) override {
    PolicyLossSums sums;
    const int64_t vocab = input.vocabSize;
    std::vector<double> logits(static_cast<size_t>(vocab));
    for (int64_t t = 0; t < input.tokens; ++t) {
      for (int64_t v = 0; v < vocab; ++v) {
        logits[v] = double{input.logits[t * vocab + v]} / input.options.temperature;
      }
      const double total = logSum(logits), logprob = logits[input.targets[t]] - total;
      const double entropy = entropyOf(logits, total);
      output.logprobs[t] = static_cast<float>(logprob);
      output.entropy[t] = static_cast<float>(entropy);
      const double gradLogprob =
          input.mask[t] ? tokenLoss(sums, input.terms[t], input.options, logprob, entropy) : 0;
      output.gradLogprobs[t] = static_cast<float>(gradLogprob);
      const double scale = input.mask[t] ? input.terms[t].accuracyScale : 0;
      const auto grad =
          gradLogits(logits, total, entropy, input.targets[t], gradLogprob, scale, input.options);
      for (int64_t v = 0; v < vocab; ++v) output.gradLogits[t * vocab + v] = static_cast<float>(grad[v]);
    }
    return sums;
  }

  void groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) override {
    std::map<int32_t, std::vector<int64_t>> groups, qualifying;
    std::vector<double> accuracy, efficiency;
    for (int64_t i = 0; i < input.rollouts; ++i) {
      groups[input.groupIds[i]].push_back(i);
      if (input.correct[i]) qualifying[input.groupIds[i]].push_back(i);
      accuracy.push_back(input.accuracyRewards[i]);
      const double cost = input.toolCosts ? input.toolCosts[i] : input.toolCalls[i];
      efficiency.push_back(input.correct[i] ? 1 / (1 + cost) : 0);
      output.efficiencyRewards[i] = static_cast<float>(efficiency.back());
      output.accuracyAdvantages[i] = output.efficiencyAdvantages[i] = 0;
    }
    for (const auto& [id, members] : groups)
      normaliseGroup(output.accuracyAdvantages, accuracy, members, input);
    for (const auto& [id, members] : qualifying) {
      normaliseGroup(output.efficiencyAdvantages, efficiency, members, input);
    }
  }

 protected:
  static float& at(const Tensor& matrix, int64_t r, int64_t c) {
    return matrix.f32()[r * matrix.shape[1] + c];
  }
  // An element of a float32 or bfloat16 matrix; `rounded`: as in a product with a bfloat16 operand.
  static double operand(const Tensor& matrix, int64_t r, int64_t c, bool rounded) {
    const int64_t index = r * matrix.shape[1] + c;
    if (matrix.dtype == DType::BFloat16) return fromBFloat16(matrix.bf16()[index]);
    return rounded ? fromBFloat16(toBFloat16(matrix.f32()[index])) : matrix.f32()[index];
  }
  static float* row(const Tensor& matrix, int64_t r) { return matrix.f32() + r * matrix.shape[1]; }

  static double logSum(const std::vector<double>& values) {
    const double largest = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (const double v : values) sum += std::exp(v - largest);
    return largest + std::log(sum);
  }

 private:
  static double entropyOf(const std::vector<double>& logits, double total) {
    double entropy = 0;
    for (const double logit : logits) entropy -= std::exp(logit - total) * (logit - total);
    return entropy;
  }
  // The gradient of logits before their division by the temperature; `logits` are those after it.
  static std::vector<double> gradLogits(const std::vector<double>& logits, double total, double entropy,
                                        int32_t target, double gradLogprob, double scale,
                                        const PolicyLossOptions& options) {
    std::vector<double> grad(logits.size());
    for (size_t v = 0; v < logits.size(); ++v) {
      const double logProbability = logits[v] - total, probability = std::exp(logProbability);
      const double isTarget = static_cast<int32_t>(v) == target ? 1 : 0;
      grad[v] = gradLogprob * (isTarget - probability);
      grad[v] += double{options.entropyCoefficient} * scale * probability * (logProbability + entropy);
      grad[v] /= options.temperature;
    }
    return grad;
  }

  static void normaliseGroup(float* advantages, const std::vector<double>& rewards,
                             const std::vector<int64_t>& members, const GroupAdvantagesInput& input) {
    double mean = 0, squares = 0;
    bool equal = true;
    for (const int64_t i : members) {
      mean += rewards[i] / static_cast<double>(members.size());
      equal = equal && rewards[i] == rewards[members[0]];
    }
    if (equal) return;
    for (const int64_t i : members) squares += (rewards[i] - mean) * (rewards[i] - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(members.size() - 1));
    for (const int64_t i : members) {
      const double divisor = input.scaleByStd ? deviation + input.epsilon : 1;
      advantages[i] = static_cast<float>((rewards[i] - mean) / divisor);
    }
  }

  // One clipped channel (docs/algorithm.md): returns its loss, and writes its gradient with respect to the
  // logprob to `grad`. `clipped`: 0 none, 1 low, 2 high, 3 dual.
  static double channel(double advantage, double difference, const PolicyLossOptions& options, double& grad,
                        int& clipped) {
    const double ratio = std::exp(std::clamp(difference, -20.0, 20.0));
    const double low = 1 - double{options.clipLow}, high = 1 + double{options.clipHigh};
    const double plain = -advantage * ratio, bounded = -advantage * std::clamp(ratio, low, high);
    double loss = plain;
    grad = plain;  // d ratio / d logprob = ratio, and 0 where the difference is clamped
    if (std::abs(difference) > 20) grad = 0;
    clipped = 0;
    if (bounded > plain) {
      loss = bounded;
      grad = 0;
      clipped = ratio < low ? 1 : 2;
    }
    if (advantage < 0 && loss > -advantage * options.dualClip) {
      loss = -advantage * options.dualClip;
      grad = 0;
      clipped = 3;
    }
    return loss;
  }

  // Adds one token to the sums and returns the gradient of the loss with respect to its logprob.
  static double tokenLoss(PolicyLossSums& sums, const TokenTerms& terms, const PolicyLossOptions& options,
                          double logprob, double entropy) {
    sums.tokens += 1;
    sums.entropy += entropy;
    if (terms.supervisedScale != 0) {
      sums.supervisedLoss -= terms.supervisedScale * logprob;
      sums.loss -= terms.supervisedScale * logprob;
      return -double{terms.supervisedScale};
    }
    const double difference = logprob - terms.oldLogprob;
    sums.logprobDifference = std::max(sums.logprobDifference, std::abs(difference));
    double gradAccuracy = 0, gradEfficiency = 0;
    int clipped = 0, ignored = 0;
    const double accuracy =
        terms.accuracyScale * channel(terms.accuracyAdvantage, difference, options, gradAccuracy, clipped);
    const double efficiency = terms.efficiencyScale * channel(terms.efficiencyAdvantage, difference, options,
                                                              gradEfficiency, ignored);
    const double reference = terms.referenceLogprob - logprob, scale = terms.accuracyScale;
    const double kl = options.klCoefficient == 0 ? 0 : std::exp(reference) - reference - 1;
    sums.accuracyLoss += accuracy;
    sums.efficiencyLoss += efficiency;
    sums.kl += scale * kl;
    sums.loss += options.accuracyWeight * accuracy + options.efficiencyWeight * efficiency +
                 options.klCoefficient * scale * kl - options.entropyCoefficient * scale * entropy;
    sums.clippedLow += clipped == 1;
    sums.clippedHigh += clipped == 2;
    sums.dualClipped += clipped == 3;
    return double{options.accuracyWeight} * terms.accuracyScale * gradAccuracy +
           double{options.efficiencyWeight} * terms.efficiencyScale * gradEfficiency +
           double{options.klCoefficient} * scale * (1 - std::exp(reference));
  }
};

}  // namespace hdpo
