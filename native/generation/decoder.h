// The model's forward for generation: single rows against the paged cache, products with repacked weights.
// Every row is computed in the same order whatever the batch, so that a sequence's logits are bit-identical
// alone or among others.
#pragma once

#include <cstdint>
#include <vector>

#include "generation/kv_cache.h"
#include "generation/packed_weights.h"
#include "model/parameters.h"

namespace hdpo {

// Rows (tokens) of one step; arrays in host memory, alive for the call.
struct DecoderRows {
  int64_t count = 0;
  const int32_t* tokens = nullptr;             // [R]
  const int32_t* positions = nullptr;          // [R]
  const CachedAttentionRow* cached = nullptr;  // [R]: length is position + 1
};

class Decoder {
 public:
  // adapter may be null. The weights are packed in `format` before the first forward.
  Decoder(Backend& backend, const Parameters& parameters, const Adapter* adapter, PackedFormat format);

  PackedWeights& weights() { return weights_; }  // to be told what has changed

  // Writes the rows' keys and values to the cache. Rows of one sequence may be in one call, in order.
  void forward(const DecoderRows& rows, const KvCache& cache);
  // Logits [count, V] of rows index[0..count) of the last forward, valid until the next call.
  Tensor logits(const int32_t* index, int64_t count);

 private:
  void attentionHalf(const DecoderRows& rows, const KvCache& cache, int64_t layer);
  void feedForwardHalf(int64_t rows, int64_t layer);

  Backend& backend_;
  const Parameters& parameters_;
  const ModelConfig config_;
  const std::vector<float> inverseFrequencies_;  // [E / 2]
  PackedWeights weights_;
  int64_t rows_ = 0;  // of the last forward
  // Workspaces: the residual stream [R, D], a norm's output and a projection back [R, D], qkv [R, (H + 2K)
  // E], attention [R, H E], gate and up [R, 2F], their product [R, F], sampled rows [S, D] and their logits
  // [S, V].
  Buffer stream_, normed_, qkv_, attention_, gateUp_, feedForward_, sampled_, logits_;
};

}  // namespace hdpo
