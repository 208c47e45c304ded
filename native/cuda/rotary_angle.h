// The angle by which rotary turns a pair, reduced to one turn in float64: float32 loses a radian's digits
// long before the end of a long context.
#pragma once

#include "cuda/launch.h"

namespace hdpo::cuda {

struct Angle {
  float cosine, sine;
};

__device__ inline Angle rotaryAngle(double position, float inverseFrequency) {
  constexpr double kTurnsOfRadian = 0.15915494309189535;
  const double turns = position * static_cast<double>(inverseFrequency) * kTurnsOfRadian;
  Angle angle;
  sincospif(2 * static_cast<float>(turns - rint(turns)), &angle.sine, &angle.cosine);
  return angle;
}

}  // namespace hdpo::cuda
