// Weights and adapters in safetensors files, whole or in shards. A load looks at all files first and changes
// nothing when it refuses (ERR_CHECKPOINT, naming the file and the tensor). Both ways go tensor by tensor: on
// top of the weights in memory they need one tensor at most.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "training/model_weights.h"

namespace hdpo {

// Hugging Face names and shapes. Accepts F32, BF16 and F16, rounded or widened to what the model keeps.
// Missing, extra or misshapen tensors and ones that are in two files are refused; an lm_head.weight beside
// tied embeddings (as published Qwen3 files have) only where it differs from the embedding.
void loadWeights(ModelWeights& model, const std::vector<std::string>& paths);

struct SaveOptions {
  DType precision = DType::Float32;  // of matrices and vectors alike, as published models have them
  uint64_t maxShardBytes = UINT64_MAX;
};

// To `path`; or, where the tensors take more than maxShardBytes, to "<stem>-00001-of-00003.safetensors"
// beside it and the index "<path>.index.json". Tied embeddings are stored once, without lm_head.weight. With
// the adapter's product in it where the model is merged.
void saveWeights(const ModelWeights& model, const std::string& path, const SaveOptions& options);

// PEFT's names, float32.
void saveAdapter(const Adapter& adapter, const std::string& path);
void loadAdapter(Adapter& adapter, const std::string& path);

}  // namespace hdpo
