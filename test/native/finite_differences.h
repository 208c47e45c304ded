// Gradients of a whole model against central differences.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/random.h"
#include "model/parameter_set.h"

namespace hdpo {

// Checks the gradient of every tensor of `parameters` against central differences of loss(), along random
// directions and for a few single elements. Returns a description of the worst disagreement, relative to the
// gradient's own size. The error of truncation goes with the square of the step.
struct GradientDisagreement {
  double relative = 0;
  std::string where;
};

template <typename Loss>
GradientDisagreement compareGradients(const ParameterSet& parameters, const ParameterSet& gradients,
                                      Loss loss, float step = 4e-3f) {
  const double rounding = 6e-8 / step;  // for losses of order 1 in float32, whatever the gradient's size
  constexpr int kDirections = 3, kElements = 3;
  GradientDisagreement worst;
  for (const ParameterEntry& entry : parameters.entries()) {
    float* weight = parameters.flat().f32() + entry.offset;
    const float* grad = gradients.flat().f32() + entry.offset;
    const std::vector<float> original(weight, weight + entry.count);
    double norm = 0;
    for (int64_t i = 0; i < entry.count; ++i) norm += double{grad[i]} * grad[i];
    norm = std::sqrt(norm);
    for (int probe = 0; probe < kDirections + kElements; ++probe) {
      std::vector<double> direction(static_cast<size_t>(entry.count), 0.0);
      double length = 0, analytic = 0;
      const int64_t element =
          philox(99, static_cast<uint64_t>(probe), static_cast<uint64_t>(entry.offset))[0] % entry.count;
      for (int64_t i = 0; i < entry.count; ++i) {
        if (probe < kDirections)
          direction[i] = normal(100 + static_cast<uint64_t>(probe), 3, entry.offset + i);
        if (probe >= kDirections) direction[i] = i == element ? 1 : 0;
        length += direction[i] * direction[i];
      }
      for (int64_t i = 0; i < entry.count; ++i) analytic += direction[i] / std::sqrt(length) * grad[i];
      double side[2];
      for (int sign = 0; sign < 2; ++sign) {
        for (int64_t i = 0; i < entry.count; ++i) {
          weight[i] =
              static_cast<float>(original[i] + (sign ? -1 : 1) * step * direction[i] / std::sqrt(length));
        }
        side[sign] = loss();
      }
      std::copy(original.begin(), original.end(), weight);
      const double difference = std::abs((side[0] - side[1]) / (2 * double{step}) - analytic);
      const double relative = (difference - rounding) / norm;  // below 0 where rounding explains all of it
      if (!(relative <= worst.relative)) worst = {relative, entry.name + ", probe " + std::to_string(probe)};
    }
  }
  return worst;
}

}  // namespace hdpo
