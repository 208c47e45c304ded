// The one interface between model and hardware: every kernel, with its shapes. Model, generation and training
// code know only this; native/cpu implements it today, native/cuda mirrors it file by file.
//
// Types. Matrices that a model owns (projections, embedding, head) are float32 or bfloat16; the residual
// stream and its gradient, norm weights, biases, gradients of parameters, statistics kept for backward and
// optimiser state are float32. What lies between (inputs and outputs of projections, their gradients) has the
// type that activationType names. A product with a bfloat16 operand rounds the other one to bfloat16
// (nearest, ties to even) and accumulates in float32.
//
// Conventions. Tensors are contiguous row-major views in the backend's memory. N tokens of a packed batch, S
// sequences, D hidden, H query heads, K key/value heads, E head dimension, F feed-forward width, V
// vocabulary. `offsets` is [S + 1] in host memory: sequence s is rows [offsets[s], offsets[s + 1]). Gradients
// of parameters accumulate (+=); gradients of activations are written (=) unless a comment says otherwise.
// Backends only assert shapes; callers have checked them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/profiler.h"
#include "core/tensor.h"
#include "ops/policy_loss.h"
#include "ops/sampling.h"

namespace hdpo {

struct AdamWOptions {
  float learningRate = 1e-4f;
  float beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f, weightDecay = 0.0f;
  int64_t step = 1;         // 1-based, for bias correction
  float gradientScale = 1;  // multiplies the gradient first (global-norm clipping)
};

// How a packed weight is stored, and with it the arithmetic of its products (packed_matmul.h).
//   BFloat16  weights and x rounded to bfloat16: what Backend::matmul does with a bfloat16 weight
//   Int8      weights and x as 8-bit integers with a float32 scale per row and group of 64 inputs
enum class PackedFormat : uint8_t { Float32, BFloat16, Int8 };

// A weight matrix laid out for products with few rows (see packed_matmul.cpp). Opaque outside the backend.
struct PackedWeight {
  int64_t outputs = 0, inputs = 0;  // y[rows, outputs] = x[rows, inputs] * weight[outputs, inputs]^T
  void* data = nullptr;             // backend memory of Backend::packedBytes(outputs, inputs, format)
  PackedFormat format = PackedFormat::Float32;
};

// Rows of a decoding batch: row r belongs to a sequence whose cached keys lie in blocks of `kvBlockTokens`
// tokens.
struct CachedAttentionRow {
  const int32_t* blocks;  // block numbers of the sequence, in order (host memory)
  int32_t length;         // cached tokens visible to this row, itself included
};

constexpr int64_t kvBlockTokens = 16;

// What happens to the heads of a decoding step's rows before they are cached.
struct HeadPreparation {
  Tensor bias;                                // [(H + 2K) * E], empty: none
  Tensor queryNorm, keyNorm;                  // [E], empty: no QK-norm
  float epsilon = 0;                          // of QK-norm
  const int32_t* positions = nullptr;         // [R] host memory
  const float* inverseFrequencies = nullptr;  // [E / 2] host memory
};

// One step of decoding: the arrays in host memory that its ops read, and what tells it from others. Steps of
// equal decoder, cache, variant and rows run the same ops on the same memory of the backend.
struct DecodingStep {
  const void* decoder = nullptr;
  const void* cache = nullptr;
  int64_t variant = 0;
  int64_t rows = 0;
  const int32_t* tokens = nullptr;             // [rows]
  const int32_t* positions = nullptr;          // [rows]
  const CachedAttentionRow* cached = nullptr;  // [rows]
  const float* inverseFrequencies = nullptr;   // [frequencies]
  int64_t frequencies = 0;
};

// Sizes that suit a device, where nothing else is asked for: these are a CPU's.
struct DeviceDefaults {
  size_t kvBudgetBytes = size_t{128} << 20;
  int64_t maxBatchRows = 256;
  // Small enough for what passes between two ops to stay in the last level of cache: 2048 trains 5% faster
  // than 4096 at width 256, and holds half the activations.
  int64_t microBatchTokens = 2048;
};

// Rows [firstRow, firstRow + rows) of a fused projection's output, which one adapted module makes.
struct AdapterBlock {
  int64_t firstRow = 0, rows = 0;
};

// One dropout mask: element (row, column) of a tensor is dropped or not as a function of these, `firstRow +
// row` and the column alone, whatever the number of threads and however a batch is split.
struct DropoutMask {
  float probability = 0;
  uint64_t seed = 0, stream = 0;
  int64_t firstRow = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const = 0;
  virtual int threads() const = 0;
  Profiler& profiler() { return profiler_; }

  virtual DeviceDefaults defaults() { return {}; }

  // Memory, 64-byte aligned. allocate throws ERR_OUT_OF_MEMORY.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* pointer) noexcept = 0;
  virtual void copyFromHost(void* destination, const void* source, size_t bytes) = 0;
  virtual void copyToHost(void* destination, const void* source, size_t bytes) = 0;
  virtual void zero(void* destination, size_t bytes) = 0;
  // What allocate can still give; none: it gives host memory, and the system is to be asked.
  virtual std::optional<size_t> availableBytes() { return std::nullopt; }

  // Of activations beside weights of that type: Float32 or BFloat16. "A" in the shapes below is a tensor of
  // this type; all others are float32 where nothing else is said.
  virtual DType activationType(DType weights) const {
    static_cast<void>(weights);
    return DType::Float32;
  }

  // matmul.cpp: out = op(a) * op(b) + beta * out; op is the transpose where asked. op(a) [M, P], op(b) [P,
  // Q], out [M, Q]. a and b float32 or bfloat16 each (above), out float32 or, where one of them is bfloat16,
  // A.
  virtual void matmul(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                      float beta) = 0;

  // rms_norm.cpp: y = x * rsqrt(mean(x^2) + epsilon) * weight over the last dimension. x [R, C], y [R, C] A;
  // weight [C]; inverseRms [R] is kept for backward (may be empty in inference). y may be x of its type.
  virtual void rmsNorm(const Tensor& y, const Tensor& inverseRms, const Tensor& x, const Tensor& weight,
                       float epsilon) = 0;
  // The residual stream's next step: stream += added, then y A = rmsNorm(stream). stream, added [R, C].
  virtual void addThenRmsNorm(const Tensor& y, const Tensor& stream, const Tensor& added,
                              const Tensor& weight, float epsilon) {
    add(stream, stream, added);
    rmsNorm(y, Tensor(), stream, weight, epsilon);
  }
  // gradX (= or += by `accumulate`) [R, C], gradY [R, C] A; gradWeight += [C], empty: a frozen weight.
  virtual void rmsNormBackward(const Tensor& gradX, bool accumulate, const Tensor& gradWeight,
                               const Tensor& gradY, const Tensor& x, const Tensor& weight,
                               const Tensor& inverseRms) = 0;

  // head_norm.cpp (QK-norm, Qwen3): rmsNorm over E of every query head (times queryWeight [E]) and key head
  // (times keyWeight [E]) of qkv [N, (H + 2K) * E] A; values are copied. out A may be qkv. inverseRms [N, H +
  // K] may be empty in inference.
  virtual void headNorm(const Tensor& out, const Tensor& inverseRms, const Tensor& qkv,
                        const Tensor& queryWeight, const Tensor& keyWeight, int64_t heads, int64_t kvHeads,
                        int64_t headDim, float epsilon) = 0;
  // In place: gradQkv A holds the gradient of `out` and then that of qkv (the input of headNorm).
  // gradQueryWeight, gradKeyWeight += [E], both empty: frozen weights.
  virtual void headNormBackward(const Tensor& gradQkv, const Tensor& gradQueryWeight,
                                const Tensor& gradKeyWeight, const Tensor& qkv, const Tensor& queryWeight,
                                const Tensor& keyWeight, const Tensor& inverseRms, int64_t heads,
                                int64_t kvHeads, int64_t headDim) = 0;

  // rotary.cpp: rotates in place the first `heads` heads of each row of qkv [N, stride / E, E] A (half-split
  // pairs (i, i + E/2), angle = position * inverseFrequencies[i]). direction +1 forward, -1 backward (the
  // inverse rotation). positions [N] and inverseFrequencies [E / 2] host memory.
  virtual void rotary(const Tensor& qkv, int64_t heads, int64_t headDim, const int32_t* positions,
                      const float* inverseFrequencies, int direction) = 0;

  // attention.cpp: packed causal attention inside each sequence. qkv [N, (H + 2K) * E] A holds queries, keys,
  // values side by side; out [N, H * E] A; logSumExp [N, H] is kept for backward. Scores are scaled by 1 /
  // sqrt(E).
  virtual void attention(const Tensor& out, const Tensor& logSumExp, const Tensor& qkv,
                         const int32_t* offsets, int64_t sequences, int64_t heads, int64_t kvHeads,
                         int64_t headDim) = 0;
  // gradQkv = [N, (H + 2K) * E] A, gradOut A.
  virtual void attentionBackward(const Tensor& gradQkv, const Tensor& gradOut, const Tensor& qkv,
                                 const Tensor& out, const Tensor& logSumExp, const int32_t* offsets,
                                 int64_t sequences, int64_t heads, int64_t kvHeads, int64_t headDim) = 0;

  // swiglu.cpp: out [N, F] A = silu(gate) * up, gateUp [N, 2F] A = gate beside up. gradGateUp, gradOut A.
  virtual void swiglu(const Tensor& out, const Tensor& gateUp) = 0;
  virtual void swigluBackward(const Tensor& gradGateUp, const Tensor& gradOut, const Tensor& gateUp) = 0;

  // embedding.cpp: out [N, D] = table[tokens], table float32 or bfloat16; tokens [N] host memory. Backward:
  // gradTable [V, D] +=, float32.
  virtual void embedding(const Tensor& out, const Tensor& table, const int32_t* tokens) = 0;
  virtual void embeddingBackward(const Tensor& gradTable, const Tensor& gradOut, const int32_t* tokens) = 0;

  // elementwise.cpp
  // out = in between float32 and bfloat16, rounded to nearest, ties to even; NaN stays NaN. Of one type: a
  // copy.
  virtual void convert(const Tensor& out, const Tensor& in) = 0;
  // Of one type, float32 or A: add, addBias (rows), biasBackward (gradRows), gatherRows, scatterRows.
  virtual void add(const Tensor& out, const Tensor& a, const Tensor& b) = 0;      // out may be a or b
  virtual void addBias(const Tensor& rows, const Tensor& bias) = 0;               // rows [R, C] += bias [C]
  virtual void biasBackward(const Tensor& gradBias, const Tensor& gradRows) = 0;  // [C] += column sums
  // gather: out[i] = rows[index[i]]; scatter: out = 0, then out[index[i]] = rows[i].
  virtual void gatherRows(const Tensor& out, const Tensor& rows, const int32_t* index) = 0;
  virtual void scatterRows(const Tensor& out, const Tensor& rows, const int32_t* index) = 0;

  // adapter.cpp (LoRA, see model/adapter.h). out [R, C] A = rows (A) kept by the mask / (1 - probability), 0
  // elsewhere; out may be rows.
  virtual void dropout(const Tensor& out, const Tensor& rows, const DropoutMask& mask) = 0;
  // out [outputs, modules * rank] = 0, but scale * module i's part of `up` [sum of the blocks' rows, rank] in
  // the rows of block i and columns [i * rank, (i + 1) * rank). blocks [modules] host memory.
  virtual void spreadBlocks(const Tensor& out, const Tensor& up, const AdapterBlock* blocks, int64_t modules,
                            float scale) = 0;
  // The way back: gradUp += scale * what spreadBlocks put there.
  virtual void spreadBlocksBackward(const Tensor& gradUp, const Tensor& gradOut, const AdapterBlock* blocks,
                                    int64_t modules, float scale) = 0;

  // optimizer.cpp: flat tensors of equal length. sumOfSquares accumulates in float64 in a fixed order.
  virtual double sumOfSquares(const Tensor& values) = 0;
  virtual void adamW(const Tensor& weight, const Tensor& gradient, const Tensor& momentum,
                     const Tensor& variance, const AdamWOptions& options) = 0;

  // advantages.cpp, policy_loss.cpp, linear_loss.cpp: see ops/policy_loss.h for the shapes and the paper's
  // equations.
  virtual void groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) = 0;
  virtual PolicyLossSums policyLoss(const PolicyLossInput& input, const PolicyLossOutput& output) = 0;
  virtual PolicyLossSums linearLoss(const LinearLossInput& input, const LinearLossOutput& output) = 0;
  // The workspaceLimit with which linearLoss is fast.
  virtual size_t linearLossWorkspace() const { return LinearLossInput().workspaceLimit; }

  // packed_matmul.cpp: products for generation. Each output row is computed in the same order of additions
  // whatever the other rows are, so that a sequence's logits do not depend on its batch. x [rows, inputs]
  // and out [rows, outputs] float32, or A beside a packed weight that is not. packWeight takes weight
  // [outputs, inputs], float32 or bfloat16, to the format of `packed`.
  // Whether weights of a type need no packing: a PackedWeight may then be the weight itself, where it lies.
  virtual bool packsInPlace(DType weight, PackedFormat format) const {
    static_cast<void>(weight), static_cast<void>(format);
    return false;
  }
  virtual size_t packedBytes(int64_t outputs, int64_t inputs, PackedFormat format) = 0;
  virtual void packWeight(const PackedWeight& packed, const Tensor& weight) = 0;
  virtual void packedMatmul(const Tensor& out, const Tensor& x, const PackedWeight& weight) = 0;

  // cached_attention.cpp: keys and values of every block of one layer, float32 or bfloat16: cache [blocks, 2,
  // K, E * kvBlockTokens] (the layout inside a block is the backend's). writeCache rounds row r's key and
  // value (of qkv [R, (H + 2K) * E] A) to position rows[r].length - 1; cachedAttention then reads them and
  // computes in float32: out [R, H * E] A. Batch-invariant like packedMatmul (on CUDA: single rows). A cache
  // is bfloat16 where A is: more precise than what is written to it, it would hold nothing more.
  virtual void writeCache(const Tensor& cache, const Tensor& qkv, const CachedAttentionRow* rows,
                          int64_t heads, int64_t kvHeads, int64_t headDim) = 0;
  // The heads of qkv [R, (H + 2K) * E] A between their projection and cachedAttention, in one op: addBias,
  // headNorm, rotary, writeCache. Afterwards qkv holds queries; its keys and values are undefined.
  virtual void cacheHeads(const Tensor& cache, const Tensor& qkv, const HeadPreparation& preparation,
                          const CachedAttentionRow* rows, int64_t heads, int64_t kvHeads, int64_t headDim) {
    if (preparation.bias) addBias(qkv, preparation.bias);
    if (preparation.queryNorm) {
      headNorm(qkv, Tensor(), qkv, preparation.queryNorm, preparation.keyNorm, heads, kvHeads, headDim,
               preparation.epsilon);
    }
    rotary(qkv, heads + kvHeads, headDim, preparation.positions, preparation.inverseFrequencies, 1);
    writeCache(cache, qkv, rows, heads, kvHeads, headDim);
  }
  virtual void cachedAttention(const Tensor& out, const Tensor& cache, const Tensor& qkv,
                               const CachedAttentionRow* rows, int64_t heads, int64_t kvHeads,
                               int64_t headDim) = 0;

  // How many rows a decoding step of these should have: a backend that replays steps wants few sizes. Rows
  // that are added have token 0, position 0 and length 0; that backend's writeCache and cachedAttention skip
  // them.
  virtual int64_t decodingRows(const CachedAttentionRow* rows, int64_t count) const {
    static_cast<void>(rows);
    return count;
  }
  // Runs `ops`, which read no host memory but the arrays of `step`, or replays what an equal step ran.
  virtual void decodingStep(const DecodingStep& step, const std::function<void()>& ops) {
    static_cast<void>(step);
    ops();
  }

  // Draws one token from each row of logits [rows, V], which may be changed: the tokens and logprobs of
  // generation/sampler.h. false: nothing was done, for the host is as near to the logits as the backend.
  virtual bool sampleTokens(const Tensor& logits, const SamplingDraw* draws, SampledToken* tokens) {
    static_cast<void>(logits), static_cast<void>(draws), static_cast<void>(tokens);
    return false;
  }
  // Whether the host reads the backend's memory as its own: what it draws from need not be copied.
  virtual bool hostMemory() const { return false; }

 private:
  Profiler profiler_;
};

// threads = 0: all cores of this process. Throws ERR_CPU_UNSUPPORTED when the addon was built for a newer
// instruction set.
std::unique_ptr<Backend> createCpuBackend(int threads);

// Backend::packedBytes of the CPU's, without one.
size_t packedBytesOnCpu(int64_t outputs, int64_t inputs, PackedFormat format);

}  // namespace hdpo
