// The model's forward for generation: single rows against the paged cache, products with repacked weights.
// Every row is computed in the same order whatever the batch, so that a sequence's logits are bit-identical
// alone or among others (except on CUDA, see cuda/cuda_backend.h). The residual stream is float32; all other
// activations have type A, the backend's activation type beside the packed weights.
#pragma once

#include <cstdint>
#include <vector>

#include "generation/kv_cache.h"
#include "generation/packed_weights.h"
#include "model/parameters.h"

namespace hdpo {

// Rows (tokens) of one step. Its arrays are in host memory and must stay there for the call.
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

  PackedWeights& weights() { return weights_; }  // to tell them what has changed

  // The type of a cache for this decoder: `wanted`, but bfloat16 where keys and values are computed in that
  // type.
  static DType cachePrecision(const Backend& backend, PackedFormat format, DType wanted);

  // Bytes for steps of `rows` rows, of which `sampled` at a time have logits; adapter may be null.
  static size_t workspaceBytes(const Backend& backend, const ModelConfig& config,
                               const AdapterOptions* adapter, PackedFormat format, int64_t rows,
                               int64_t sampled);

  // Writes the rows' keys and values to the cache. One call may have several rows of a sequence, in order.
  void forward(const DecoderRows& rows, const KvCache& cache);
  // Logits [count, V] of rows index[0..count) of the last forward, valid until the next call.
  Tensor logits(const int32_t* index, int64_t count);

 private:
  DecoderRows padded(const DecoderRows& rows);
  void layers(const DecoderRows& rows, const KvCache& cache);
  // Each half of a layer goes from the normed stream to what is to be added to the stream.
  void attentionHalf(const DecoderRows& rows, const KvCache& cache, int64_t layer);
  void feedForwardHalf(int64_t layer);
  void addThenNorm(const Tensor& weight);

  Backend& backend_;
  const Parameters& parameters_;
  const ModelConfig config_;
  const std::vector<float> inverseFrequencies_;  // [E / 2]
  PackedWeights weights_;
  const DType activations_;  // A
  // The rows of a step and those that the backend adds; members, to keep their memory.
  std::vector<int32_t> tokens_, positions_;
  std::vector<CachedAttentionRow> cached_;
  // Tensors of the last forward. The residual stream and what a half of a layer adds to it are float32, the
  // rest A.
  struct Work {
    Tensor stream, projected;  // [R, D]
    Tensor normed;             // [R, D]
    Tensor qkv;                // [R, (H + 2K) E]
    Tensor attention;          // [R, H E]
    Tensor gateUp;             // [R, 2F]
    Tensor feedForward;        // [R, F]
  } work_;
  // The buffers behind them, and the sampled rows: of the stream [S, D], normed [S, D] A, logits [S, V].
  Buffer stream_, projected_, normed_, qkv_, attention_, gateUp_, feedForward_;
  Buffer sampled_, sampledNormed_, logits_;
};

}  // namespace hdpo
