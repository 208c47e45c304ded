// The one interface between model and hardware. Model, generation and training code know only this;
// native/cpu and native/cuda implement it, file by file under the same names. The ops that every backend has
// stand in ops/op_list.h with their shapes, the losses' inputs and outputs in ops/policy_loss.h.
//
// Types. Matrices that a model owns (projections, embedding, head) are float32 or bfloat16; the residual
// stream and its gradient, norm weights, biases, gradients of parameters, statistics kept for backward and
// optimiser state are float32. What lies between (inputs and outputs of projections, their gradients) has the
// type that activationType names. A product with a bfloat16 operand rounds the other one to bfloat16
// (nearest, ties to even) and accumulates in float32.
//
// Conventions. Tensors are contiguous row-major views in the backend's memory. Letters in shapes: N tokens of
// a packed batch, S sequences, R rows, D hidden, H query heads, K key/value heads, E head dimension,
// F feed-forward width, V vocabulary. `offsets` is [S + 1] in host memory: sequence s is rows
// [offsets[s], offsets[s + 1]). Gradients of parameters accumulate (+=); gradients of activations are
// written (=) unless a comment says otherwise. Backends only assert shapes; callers have checked them.
//
// Adding an op touches four places; the compiler, the linker and test/house.test.ts name what is missing.
//   1. ops/op_list.h       its declaration, with the shapes of its operands
//   2. cpu/<family>.cpp    CpuBackend::op
//   3. cuda/<family>.cu    its kernels, and CudaBackend::op at the foot
//   4. self_test/          its meaning in plain loops (reference_backend.h, or reference_losses.h), and a row
//                          of the table (<kind>_cases.cpp): doctor, tests and benchmarks then run it
// A family that is new has its files listed in native/sources.txt and native/cuda/sources.txt. The test
// double test/native/device_memory_backend.h hands every op on, and so has a line for each.
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

// A matrix [rows, columns].
struct MatrixShape {
  int64_t rows = 0, columns = 0;
};
inline MatrixShape matrixShape(const Tensor& matrix) { return {matrix.shape[0], matrix.shape[1]}; }

// The heads of attention. A row of qkv [N, (H + 2K) * E] holds the queries of every head, then the keys, then
// the values.
struct AttentionShape {
  int64_t heads = 0;    // H: query heads, a multiple of K
  int64_t kvHeads = 0;  // K: key heads, and as many value heads, each shared by H / K query heads
  int64_t headDim = 0;  // E: elements of a head, an even number

  constexpr int64_t positionedHeads() const { return heads + kvHeads; }  // queries and keys
  constexpr int64_t qkvWidth() const { return (heads + 2 * kvHeads) * headDim; }
  constexpr int64_t outWidth() const { return heads * headDim; }
};

struct AdamWOptions {
  float learningRate = 0, beta1 = 0, beta2 = 0, epsilon = 0, weightDecay = 0;
  int64_t step = 1;         // 1-based, for bias correction
  float gradientScale = 1;  // multiplies the gradient first (global-norm clipping)
};

// How a packed weight is stored, and with it the arithmetic of its products (packed_matmul.h).
//   Float32   weights and x as they are
//   BFloat16  weights and x rounded to bfloat16: what Backend::matmul does with a bfloat16 weight
//   Int8      weights and x as 8-bit integers with a float32 scale per row and group of 64 inputs
enum class PackedFormat : uint8_t { Float32, BFloat16, Int8 };

// A weight matrix laid out for products with few rows (see packed_matmul.cpp). Opaque outside the backend.
struct PackedWeight {
  int64_t outputs = 0, inputs = 0;  // y[rows, outputs] = x[rows, inputs] * weight[outputs, inputs]^T
  void* data = nullptr;             // backend memory of Backend::packedBytes({outputs, inputs}, format)
  PackedFormat format = PackedFormat::Float32;
};

// A row of a decoding batch: a token of a sequence whose cached keys and values lie in blocks of
// `kvBlockTokens` tokens.
struct CachedAttentionRow {
  const int32_t* blocks;  // block numbers of the sequence, in order (host memory)
  int32_t length;         // cached tokens visible to this row, itself included
};

constexpr int64_t kvBlockTokens = 16;

// What happens to the heads of a decoding step's rows before they are cached.
struct HeadPreparation {
  Tensor bias{};                              // [(H + 2K) * E], empty: none
  Tensor queryNorm{}, keyNorm{};              // [E], empty: no QK-norm
  float epsilon = 0;                          // of QK-norm
  const int32_t* positions = nullptr;         // [R] host memory
  const float* inverseFrequencies = nullptr;  // [E / 2] host memory
};

// One step of decoding: the arrays in host memory that its ops read, and what tells it from other steps.
// Steps of equal decoder, cache, variant and rows run the same ops on the same memory of the backend.
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

// Sizes that suit a device, for those that the user leaves open. These suit a CPU.
struct DeviceDefaults {
  size_t kvBudgetBytes = size_t{128} << 20;
  int64_t maxBatchRows = 256;
  // So small that what one op hands to the next stays in the last level of cache: 2048 trains 5% faster than
  // 4096 at width 256, and holds half the activations.
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
  // What allocate can still give. None where it gives host memory: then the system knows.
  virtual std::optional<size_t> availableBytes() { return std::nullopt; }

  // The type of activations beside weights of a type: Float32 or BFloat16.
  virtual DType activationType(DType weights) const {
    static_cast<void>(weights);
    return DType::Float32;
  }

#define HDPO_OP = 0
#include "ops/op_list.h"
#undef HDPO_OP

  // --- Ops that a backend may do better than by those of the list ---

  // The residual stream's next step: stream += added, then y A = rmsNorm(stream). stream, added [R, C].
  virtual void addThenRmsNorm(const Tensor& y, const Tensor& stream, const Tensor& added,
                              const Tensor& weight, float epsilon) {
    add(stream, stream, added);
    rmsNorm(y, Tensor(), stream, weight, epsilon);
  }
  // All that happens to the heads of qkv [R, (H + 2K) * E] A between their projection and cachedAttention:
  // addBias, headNorm, rotary, writeCache. Afterwards qkv holds queries; its keys and values are undefined.
  virtual void cacheHeads(const Tensor& cache, const Tensor& qkv, const HeadPreparation& preparation,
                          const CachedAttentionRow* rows, const AttentionShape& shape) {
    if (preparation.bias) addBias(qkv, preparation.bias);
    if (preparation.queryNorm) {
      headNorm(qkv, Tensor(), qkv, preparation.queryNorm, preparation.keyNorm, shape, preparation.epsilon);
    }
    rotary(qkv, shape, preparation.positions, preparation.inverseFrequencies, 1);
    writeCache(cache, qkv, rows, shape);
  }
  // Draws one token from each row of logits [rows, V], which may be changed: the tokens and logprobs of
  // generation/sampler.h. false: nothing was done, for the host is as near to the logits as the backend.
  virtual bool sampleTokens(const Tensor& logits, const SamplingDraw* draws, SampledToken* tokens) {
    static_cast<void>(logits), static_cast<void>(draws), static_cast<void>(tokens);
    return false;
  }

  // --- What a backend says of itself ---

  // The workspaceLimit with which linearLoss is fast.
  virtual size_t linearLossWorkspace() const { return LinearLossInput().workspaceLimit; }
  // Whether weights of a type need no packing: a PackedWeight may then be the weight itself, where it lies.
  virtual bool packsInPlace(DType weight, PackedFormat format) const {
    static_cast<void>(weight), static_cast<void>(format);
    return false;
  }
  // Whether the host reads the backend's memory as its own: what it draws from need not be copied.
  virtual bool hostMemory() const { return false; }

  // --- Steps of decoding ---

  // How many rows a decoding step of these rows should have: a backend that replays steps wants few sizes. A
  // row that is added has token 0, position 0 and length 0, and such a backend's writeCache and
  // cachedAttention skip it.
  virtual int64_t decodingRows(const CachedAttentionRow* rows, int64_t count) const {
    static_cast<void>(rows);
    return count;
  }
  // Runs `ops`, which read no host memory but the arrays of `step`, or replays what an equal step ran.
  virtual void decodingStep(const DecodingStep& step, const std::function<void()>& ops) {
    static_cast<void>(step);
    ops();
  }

 private:
  Profiler profiler_;
};

// threads = 0: all cores of this process. Throws ERR_CPU_UNSUPPORTED when the addon was built for a newer
// instruction set.
std::unique_ptr<Backend> createCpuBackend(int threads);

// What packedBytes of a CPU backend gives, without a backend.
size_t packedBytesOnCpu(const MatrixShape& weight, PackedFormat format);

}  // namespace hdpo
