// The softmax of one row of logits as the fused loss needs it: its sums, over a whole row or part by part,
// and the gradient that the logits become. x_v = (logit_v - largest) / T throughout.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/vector_math.h"

namespace hdpo {

inline float largestOf(const float* values, int64_t count) {
  constexpr int64_t kLanes = 64;
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
#pragma omp simd
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
    }
  }
  float largest = -std::numeric_limits<float>::infinity();
  for (; i < count; ++i) largest = values[i] > largest ? values[i] : largest;
  for (const float lane : lanes) largest = lane > largest ? lane : largest;
  return largest;
}

struct SoftmaxSums {
  double exponentials = 0;  // sum of e^x_v
  double weighted = 0;      // sum of e^x_v * x_v
};

// Sums the exponentials of the logits, and with `store` puts them in the logits' place. It sums in float32
// within a block and in float64 over blocks: the rounding stays that of a thousand additions for any
// vocabulary.
template <bool store>
SoftmaxSums exponentials(float* logits, int64_t count, float largest, float inverseTemperature) {
  constexpr int64_t kBlock = 1024;
  SoftmaxSums sums;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    float sum = 0, weighted = 0;
#pragma omp simd reduction(+ : sum, weighted)
    for (int64_t v = begin; v < end; ++v) {
      const float exponent = (logits[v] - largest) * inverseTemperature;
      const float exponential = vectorExp(exponent);
      if constexpr (store) logits[v] = exponential;
      sum += exponential;
      weighted += exponential * exponent;
    }
    sums.exponentials += sum;
    sums.weighted += weighted;
  }
  return sums;
}

// One row's softmax, grown by one part of the vocabulary after the other. When a part holds a larger logit,
// the earlier sums are rescaled to it.
struct RowSoftmax {
  float largest = -std::numeric_limits<float>::infinity();
  float targetLogit = 0;
  SoftmaxSums sums;

  // Returns the factor by which everything stored for earlier parts has to be multiplied.
  template <bool store>
  float add(float* logits, int64_t count, float inverseTemperature) {
    const float largestHere = largestOf(logits, count);
    double rescale = 1;
    if (largestHere > largest) {
      const bool first = sums.exponentials == 0;
      const double shift = (double{largest} - double{largestHere}) * double{inverseTemperature};
      rescale = first ? 0 : std::exp(shift);
      if (!first) sums.weighted = rescale * (sums.weighted + shift * sums.exponentials);
      sums.exponentials *= rescale;
      largest = largestHere;
    }
    const SoftmaxSums here = exponentials<store>(logits, count, largest, inverseTemperature);
    sums.exponentials += here.exponentials;
    sums.weighted += here.weighted;
    return static_cast<float>(rescale);
  }

  double logSum() const { return std::log(sums.exponentials); }
  double logprob(float inverseTemperature) const {
    return double{(targetLogit - largest) * inverseTemperature} - logSum();
  }
  double entropy() const { return logSum() - sums.weighted / sums.exponentials; }
};

// What a row's gradient is made of (linear_loss.cpp has the equation), with respect to logits before the
// division by T.
struct RowGradient {
  float gradScaled = 0;   // dL/dlogprob / T
  float factor = 0;       // factor of e^x_v: -gradScaled / sum of exponentials
  float targetGrad = 0;   // gradScaled * (1 - p), where 1 - p of a sure token keeps its digits
  float bonusScaled = 0;  // entropyCoefficient * accuracyScale / T
};

// Turns logits [begin, begin + count) of the vocabulary into their gradient.
inline void gradientOfLogits(float* logits, int64_t begin, int64_t count, int64_t target,
                             const RowSoftmax& softmax, const RowGradient& gradient,
                             float inverseTemperature) {
  const float largest = softmax.largest, offset = static_cast<float>(softmax.logSum()),
              entropy = static_cast<float>(softmax.entropy());
  const bool here = target >= begin && target < begin + count;
  if (gradient.bonusScaled == 0) {
    const float factor = gradient.factor;
#pragma omp simd
    for (int64_t v = 0; v < count; ++v)
      logits[v] = vectorExp((logits[v] - largest) * inverseTemperature) * factor;
    if (here) logits[target - begin] = gradient.targetGrad;
    return;
  }
  const float bonusScaled = gradient.bonusScaled, gradScaled = gradient.gradScaled;
#pragma omp simd
  for (int64_t v = 0; v < count; ++v) {
    const float logProbability = (logits[v] - largest) * inverseTemperature - offset;
    logits[v] = vectorExp(logProbability) * (bonusScaled * (logProbability + entropy) - gradScaled);
  }
  if (here) logits[target - begin] += gradScaled;
}

}  // namespace hdpo
