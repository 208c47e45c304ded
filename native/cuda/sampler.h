// Draws tokens on the device: the steps and the random numbers of native/generation/sampler.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/types.h"
#include "ops/backend.h"

namespace hdpo::cuda {

// One row's options (see generation/generator.h). They lie in device memory.
struct DeviceSamplingRow {
  float temperature = 1, topP = 1, minP = 0;
  int32_t topK = 0;
  uint64_t seed = 0;
  int64_t position = 0;                // position of the token to be drawn
  int32_t biasBegin = 0, biasEnd = 0;  // the row's entries of the bias list
};

// A token occurs once in a row's list. The bias is added to the logits in place, and `original` keeps the
// value that was there.
struct DeviceLogitBias {
  int32_t token = 0;
  float bias = 0;
  float original = 0;
};

struct DeviceSampledToken {
  int32_t status = 0;  // SampledToken::Status: 0 drawn, 1 a logit is not finite, 2 nothing allowed
  int32_t token = -1;
  float logprob = 0;
};

// logits [R, V], whose shape is given; rows [R]; biases may be null where no row has any.
void sampleTokens(Stream stream, DeviceSampledToken* tokens, float* logits, const DeviceSamplingRow* rows,
                  DeviceLogitBias* biases, const MatrixShape& shape);

}  // namespace hdpo::cuda
