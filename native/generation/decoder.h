// The model's forward for generation: single rows against the paged cache, products with repacked weights.
// Every row is computed in the same order whatever the batch, so that a sequence's logits are bit-identical
// alone or among others (not on CUDA, cuda/cuda_backend.h). The residual stream is float32; what lies between
// has the backend's activation type beside the packed weights, A.
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

  // Of a cache for this decoder: `wanted`, but bfloat16 where that is the type in which keys and values come.
  static DType cachePrecision(const Backend& backend, PackedFormat format, DType wanted);

  // Of steps of `rows` rows, of which `sampled` at a time have logits; adapter may be null.
  static size_t workspaceBytes(const Backend& backend, const ModelConfig& config,
                               const AdapterOptions* adapter, PackedFormat format, int64_t rows,
                               int64_t sampled);

  // Writes the rows' keys and values to the cache. Rows of one sequence may be in one call, in order.
  void forward(const DecoderRows& rows, const KvCache& cache);
  // Logits [count, V] of rows index[0..count) of the last forward, valid until the next call.
  Tensor logits(const int32_t* index, int64_t count);

 private:
  DecoderRows padded(const DecoderRows& rows);
  void layers(const DecoderRows& rows, const KvCache& cache);
  // Each from the normed stream to what is to be added to the stream.
  void attentionHalf(const DecoderRows& rows, const KvCache& cache, int64_t layer);
  void feedForwardHalf(int64_t layer);
  void addThenNorm(const Tensor& weight);

  Backend& backend_;
  const Parameters& parameters_;
  const ModelConfig config_;
  const std::vector<float> inverseFrequencies_;  // [E / 2]
  PackedWeights weights_;
  const DType activations_;  // A
  // Rows of a step that the backend wants more of, kept for their memory.
  std::vector<int32_t> tokens_, positions_;
  std::vector<CachedAttentionRow> cached_;
  // Of the last forward: the residual stream and what a half of a layer adds to it, float32; the rest A.
  struct Work {
    Tensor stream, projected;  // [R, D]
    Tensor normed;             // [R, D]
    Tensor qkv;                // [R, (H + 2K) E]
    Tensor attention;          // [R, H E]
    Tensor gateUp;             // [R, 2F]
    Tensor feedForward;        // [R, F]
  } work_;
  // What they lie in; sampled rows of the stream [S, D], these normed [S, D] A, their logits [S, V].
  Buffer stream_, projected_, normed_, qkv_, attention_, gateUp_, feedForward_;
  Buffer sampled_, sampledNormed_, logits_;
};

}  // namespace hdpo
