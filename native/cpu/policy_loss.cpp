// The policy loss from logits [N, V] in its plain formulation: log-softmax, loss and gradients of each row in
// float64. Training never has such logits; it takes linear_loss.cpp. With p the softmax of logits / T,
// logprob = log p[target], H the entropy and c = entropyCoefficient * accuracyScale, a row's gradient is
//   dL/dlogit_v = (dL/dlogprob * ([v = target] - p_v) + c * p_v * (log p_v + H)) / T
// A logit of -infinity is a token that cannot be drawn: its probability and gradient are 0. NaN and +infinity
// make the row NaN.
#include <omp.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <vector>

#include "core/vector_math.h"
#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"
#include "ops/token_loss.h"

namespace hdpo {

namespace {

struct SoftmaxRow {
  double largest = 0, logSum = 0, entropy = 0;  // log p_v = (logit_v - largest) / T - logSum
};

// Writes the probabilities p [V] too.
SoftmaxRow softmax(double* probabilities, const float* logits, int64_t vocabSize, double inverseTemperature) {
  float top = -std::numeric_limits<float>::infinity();
  for (int64_t v = 0; v < vocabSize; ++v) top = logits[v] > top ? logits[v] : top;
  const double largest = top;
  double sum = 0, weighted = 0;
#pragma omp simd reduction(+ : sum, weighted)
  for (int64_t v = 0; v < vocabSize; ++v) {
    const double exponent = (double{logits[v]} - largest) * inverseTemperature;
    const double exponential = vectorExp(exponent);
    probabilities[v] = exponential;
    sum += exponential;
    weighted += exponential == 0 ? 0 : exponential * exponent;
  }
  const double logSum = std::log(sum);
#pragma omp simd
  for (int64_t v = 0; v < vocabSize; ++v) probabilities[v] /= sum;
  return {largest, logSum, logSum - weighted / sum};
}

void gradientOfLogits(float* gradLogits, const float* logits, const double* probabilities, int64_t vocabSize,
                      int32_t target, const SoftmaxRow& row, double gradLogprob, double gradEntropy,
                      double inverseTemperature) {
  if (gradEntropy == 0) {
#pragma omp simd
    for (int64_t v = 0; v < vocabSize; ++v) {
      gradLogits[v] = static_cast<float>(-gradLogprob * probabilities[v] * inverseTemperature);
    }
  } else {
#pragma omp simd
    for (int64_t v = 0; v < vocabSize; ++v) {
      const double probability = probabilities[v];
      const double logProbability = (double{logits[v]} - row.largest) * inverseTemperature - row.logSum;
      const double entropyPart =
          probability == 0 ? 0 : -gradEntropy * probability * (logProbability + row.entropy);
      gradLogits[v] = static_cast<float>((entropyPart - gradLogprob * probability) * inverseTemperature);
    }
  }
  // The sum is taken in float64 before rounding, so that 1 - p of a sure token keeps its digits.
  const double probability = probabilities[target];
  const double logprob = (double{logits[target]} - row.largest) * inverseTemperature - row.logSum;
  const double entropyPart =
      gradEntropy == 0 || probability == 0 ? 0 : -gradEntropy * probability * (logprob + row.entropy);
  gradLogits[target] =
      static_cast<float>((entropyPart + gradLogprob * (1 - probability)) * inverseTemperature);
}

}  // namespace

PolicyLossSums CpuBackend::policyLoss(const PolicyLossInput& input, const PolicyLossOutput& output) {
  const int64_t tokens = input.tokens, vocabSize = input.vocabSize;
  assert(vocabSize >= 1 && input.options.temperature > 0);
  Profiler::Scope scope(profiler(), "policyLoss");
  const double inverseTemperature = 1 / double{input.options.temperature};
  std::vector<TokenLoss> losses(static_cast<size_t>(tokens));
  std::vector<double> scratch(static_cast<size_t>(vocabSize * threads_));
#pragma omp parallel num_threads(threads_) if (tokens * vocabSize > parallelElements())
  {
    double* probabilities = scratch.data() + vocabSize * omp_get_thread_num();
#pragma omp for schedule(static)
    for (int64_t t = 0; t < tokens; ++t) {
      const float* logits = input.logits + t * vocabSize;
      const int32_t target = input.targets[t];
      assert(target >= 0 && target < vocabSize);
      const SoftmaxRow row = softmax(probabilities, logits, vocabSize, inverseTemperature);
      const double logprob = (double{logits[target]} - row.largest) * inverseTemperature - row.logSum;
      output.logprobs[t] = static_cast<float>(logprob);
      output.entropy[t] = static_cast<float>(row.entropy);
      float* gradLogits = output.gradLogits ? output.gradLogits + t * vocabSize : nullptr;
      output.gradLogprobs[t] = 0;
      if (!input.mask[t]) {
        if (gradLogits) std::fill_n(gradLogits, vocabSize, 0.0f);
        continue;
      }
      losses[static_cast<size_t>(t)] = tokenLoss(input.terms[t], input.options, logprob, row.entropy);
      const double gradLogprob = losses[static_cast<size_t>(t)].gradLogprob;
      output.gradLogprobs[t] = static_cast<float>(gradLogprob);
      const double gradEntropy = -double{input.options.entropyCoefficient} * input.terms[t].accuracyScale;
      if (gradLogits) {
        gradientOfLogits(gradLogits, logits, probabilities, vocabSize, target, row, gradLogprob, gradEntropy,
                         inverseTemperature);
      }
    }
  }
  PolicyLossSums sums;
  for (int64_t t = 0; t < tokens; ++t) {
    if (input.mask[t]) addToken(sums, losses[static_cast<size_t>(t)]);
  }
  sums.workspaceBytes = losses.size() * sizeof(TokenLoss) + scratch.size() * sizeof(double);
  return sums;
}

}  // namespace hdpo
