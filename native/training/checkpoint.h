// Weights and optimiser state in safetensors files. A load checks the whole file first and changes nothing
// when it refuses (ERR_CHECKPOINT, naming the file and the tensor).
#pragma once

#include <string>

#include "model/parameters.h"

namespace hdpo {

// Hugging Face names and shapes, float32; tied embeddings are stored once, without lm_head.weight.
void saveWeights(Backend& backend, const Parameters& parameters, const std::string& path);

// Accepts F32, BF16 and F16. Missing, extra or misshapen tensors are refused; an lm_head.weight beside tied
// embeddings (as published Qwen3 files have) only where it differs from the embedding.
void loadWeights(Backend& backend, Parameters& parameters, const std::string& path);

// "momentum" and "variance", flat in the order of parameterEntries; the metadata holds the step and a
// fingerprint of that layout.
void saveOptimizer(Backend& backend, const Parameters& momentum, const Parameters& variance, int64_t step,
                   const std::string& path);
int64_t loadOptimizer(Backend& backend, Parameters& momentum, Parameters& variance,
                      const std::string& path);  // the step

}  // namespace hdpo
