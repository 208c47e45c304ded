// Draws tokens from logits. A draw is a function of the logits, the options and the token's position: neither
// the batch nor the number of threads matters.
#pragma once

#include <cstdint>

#include "generation/generator.h"
#include "ops/sampling.h"

namespace hdpo {

struct SamplingRow {
  const float* logits = nullptr;  // [V], host memory
  const SamplingOptions* options = nullptr;
  int64_t position = 0;  // position of the token to be drawn
};

// Throws ERR_ARGUMENT naming the option.
void checkSamplingOptions(const SamplingOptions& options, int64_t vocabSize);

// Draws tokens[i] from rows[i]. The order of the steps is that of Hugging Face's generate: bias, temperature,
// top-k, top-p over what top-k left, min-p relative to the likeliest token. Ties go to the lower token.
void sampleTokens(const SamplingRow* rows, int64_t count, int64_t vocabSize, SampledToken* tokens);

}  // namespace hdpo
