// The shape of a decoder-only transformer of the Llama / Qwen family. The fields mirror Hugging Face's
// config.json.
#pragma once

#include <cstdint>

#include "ops/backend.h"

namespace hdpo {

// Llama 3.1's stretching of the rotary embedding: frequencies with wavelengths above originalMaxPositions /
// lowFrequencyFactor are divided by `factor`, those with wavelengths below originalMaxPositions /
// highFrequencyFactor stay, and those between are interpolated. factor 0 means no stretching.
struct RopeScaling {
  float factor = 0;
  float lowFrequencyFactor = 0, highFrequencyFactor = 0;
  int64_t originalMaxPositions = 0;
};

struct ModelConfig {
  int64_t vocabSize = 0;
  int64_t hiddenSize = 0;
  int64_t layers = 0;
  int64_t heads = 0, kvHeads = 0, headDim = 0;
  int64_t intermediateSize = 0;
  int64_t maxPositions = 0;
  float ropeTheta = 0;
  float rmsNormEpsilon = 0;
  bool tieEmbeddings = false;
  bool qkvBias = false;  // Qwen2
  bool qkNorm = false;   // Qwen3
  RopeScaling ropeScaling;

  AttentionShape attentionShape() const { return {.heads = heads, .kvHeads = kvHeads, .headDim = headDim}; }
  int64_t qkvWidth() const { return attentionShape().qkvWidth(); }
};

// Throws ERR_CONFIG naming the field, unless sizes are positive, heads is a multiple of kvHeads and headDim
// is even.
void validate(const ModelConfig& config);

}  // namespace hdpo
