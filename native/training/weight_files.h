// Weights and adapters in safetensors files, whole or in shards. Loading checks all files first, down to every
// value, which must be finite, and changes nothing when it refuses (ERR_CHECKPOINT, naming the file and the
// tensor). Only a file that cannot be read a second time leaves a part loaded, and throws PartlyLoaded. Loading and saving both go tensor
// by tensor: on top of the weights in memory they need at most one tensor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "training/model_weights.h"

namespace hdpo {

// Takes Hugging Face's names and shapes in F32, BF16 or F16, rounded or widened to what the model keeps. It
// refuses missing, extra and misshapen tensors and ones that are in two files. An lm_head.weight beside tied
// embeddings (as published Qwen3 files have) is refused only where it differs from the embedding.
void loadWeights(ModelWeights& model, const std::vector<std::string>& paths);

struct SaveOptions {
  DType precision = DType::Float32;  // of matrices and vectors alike, as in published models
  uint64_t maxShardBytes = UINT64_MAX;
};

// Writes to `path` or, where the tensors take more than maxShardBytes, to "<stem>-00001-of-00003.safetensors"
// and so on beside it, with the index "<path>.index.json". Tied embeddings are stored once, without
// lm_head.weight. Where the model is merged, its adapter's product is in the weights.
void saveWeights(const ModelWeights& model, const std::string& path, const SaveOptions& options);

// Writes PEFT's names, in float32.
void saveAdapter(const Adapter& adapter, const std::string& path);
void loadAdapter(Adapter& adapter, const std::string& path);

}  // namespace hdpo
