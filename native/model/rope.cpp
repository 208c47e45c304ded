#include "model/rope.h"

#include <algorithm>
#include <cmath>

namespace hdpo {

namespace {

constexpr double kTurn = 6.283185307179586;

// Llama 3.1's rule: pairs that turn often enough within the original positions keep their frequency, slow
// ones are divided by `factor`, and those between are interpolated.
double scaled(double frequency, const RopeScaling& scaling) {
  if (scaling.factor == 0) return frequency;
  const double turns = static_cast<double>(scaling.originalMaxPositions) * frequency / kTurn;
  const double low = scaling.lowFrequencyFactor, high = scaling.highFrequencyFactor;
  const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
  return frequency * (kept + (1 - kept) / scaling.factor);
}

}  // namespace

std::vector<float> inverseFrequencies(const ModelConfig& config) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < config.headDim / 2; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config.headDim);
    const double frequency = std::pow(double{config.ropeTheta}, exponent);
    frequencies.push_back(static_cast<float>(scaled(frequency, config.ropeScaling)));
  }
  return frequencies;
}

}  // namespace hdpo
