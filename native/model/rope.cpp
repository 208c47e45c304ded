#include "model/rope.h"

#include <cmath>

namespace hdpo {

std::vector<float> inverseFrequencies(const ModelConfig& config) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < config.headDim / 2; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config.headDim);
    frequencies.push_back(static_cast<float>(std::pow(double{config.ropeTheta}, exponent)));
  }
  return frequencies;
}

}  // namespace hdpo
