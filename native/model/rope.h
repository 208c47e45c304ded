// Frequencies of the rotary position embedding.
#pragma once

#include <vector>

#include "model/config.h"

namespace hdpo {

// Returns [headDim / 2]: pair i turns by position * theta^(-2i / headDim), stretched as config.ropeScaling
// says.
std::vector<float> inverseFrequencies(const ModelConfig& config);

}  // namespace hdpo
