// Shape of a decoder-only transformer of the Llama / Qwen family; the fields mirror Hugging Face's
// config.json.
#pragma once

#include <cstdint>

namespace hdpo {

struct ModelConfig {
  int64_t vocabSize = 0;
  int64_t hiddenSize = 0;
  int64_t layers = 0;
  int64_t heads = 0, kvHeads = 0, headDim = 0;
  int64_t intermediateSize = 0;
  int64_t maxPositions = 2048;
  float ropeTheta = 10000.0f;
  float rmsNormEpsilon = 1e-6f;
  bool tieEmbeddings = true;
  bool qkvBias = false;  // Qwen2
  bool qkNorm = false;   // Qwen3

  int64_t qkvWidth() const { return (heads + 2 * kvHeads) * headDim; }
};

// Throws ERR_CONFIG naming the field: positive sizes, heads a multiple of kvHeads, even headDim.
void validate(const ModelConfig& config);

}  // namespace hdpo
