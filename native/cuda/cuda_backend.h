// The ops of ops/backend.h on an NVIDIA GPU: kernels of this folder, matrix products by cuBLAS. Each op is
// defined at the foot of its kernels' file, under the name that the file has in native/cpu. One stream
// runs them in the order of the calls. Only what returns a number to the host waits (copyToHost,
// sumOfSquares, the losses, advantages, sampling).
//
// Memory. Tensors lie in device memory, taken from the device's pool in the order of the stream. Beside them
// a backend holds cuBLAS's workspace, one workspace for kernels (the largest that an op has asked for),
// operands rounded to bfloat16, and the ring of staging.h.
//
// Products. A float32 product runs in float32, without TF32. With one bfloat16 operand the other is rounded
// to bfloat16; sums are float32, and a result may be rounded. cuBLAS chooses an algorithm by shape: unlike on
// the CPU, a row's last bits may depend on how many rows are multiplied with it. Products with int8 weights
// are our own, and there they do not. Attention over the cache takes runs of a sequence's new tokens in tiles
// (cached_prefill.h), which round differently from single rows.
//
// Decoding. Steps of few rows are recorded and replayed (decoding_step.cpp). While one is recorded, no op may
// wait, allocate, release or send an array that is not the step's; an op that does throws ERR_INTERNAL.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda/cached_attention.h"
#include "cuda/decoding_arrays.h"
#include "cuda/decoding_graphs.h"
#include "cuda/staging.h"
#include "cuda/types.h"
#include "ops/buffer.h"

namespace hdpo::cuda {

// out = op(a) * op(b) + beta * out on the stream, where both operands have one type and out is float32 or of
// that type. cuBLAS computes it; in tests a plain loop does.
class MatrixProducts {
 public:
  virtual ~MatrixProducts() = default;
  virtual void product(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                       float beta) = 0;
};
using MakeProducts =
    std::function<std::unique_ptr<MatrixProducts>(Stream stream, void* workspace, size_t workspaceBytes)>;

class CudaBackend final : public Backend {
 public:
  // graphs: whether steps of decoding are recorded and replayed.
  CudaBackend(int device, std::string deviceName, const MakeProducts& makeProducts, bool graphs);
  ~CudaBackend() override;

  const char* name() const override { return "cuda"; }
  int threads() const override { return 1; }

  // A fifth of the device's memory goes to cached keys and values; there are as many rows and tokens as keep
  // its matrix units busy.
  DeviceDefaults defaults() override;

  void* allocate(size_t bytes) override;
  void release(void* pointer) noexcept override;
  void copyFromHost(void* destination, const void* source, size_t bytes) override;
  void copyToHost(void* destination, const void* source, size_t bytes) override;
  void zero(void* destination, size_t bytes) override;
  std::optional<size_t> availableBytes() override;

  // Activations have the type of the weights: tensor cores take them as they are, and half the bytes move.
  DType activationType(DType weights) const override { return weights; }

#define HDPO_OP override
#include "ops/op_list.h"
#undef HDPO_OP

  // Ops of Backend that have a kernel of their own here: rms_norm.cu, cached_heads.cu, sampler.cu.
  void addThenRmsNorm(const Tensor& y, const Tensor& stream, const Tensor& added, const Tensor& weight,
                      float epsilon) override;
  void cacheHeads(const Tensor& cache, const Tensor& qkv, const HeadPreparation& preparation,
                  const CachedAttentionRow* rows, const AttentionShape& shape) override;
  bool sampleTokens(const Tensor& logits, const SamplingDraw* draws, SampledToken* tokens) override;

  // More rows of logits at a time than a CPU's caches hold (linear_loss.cu).
  size_t linearLossWorkspace() const override;
  // A packed weight is a plain copy in its format; in Int8 it is panels (int8_panels.h).
  bool packsInPlace(DType weight, PackedFormat format) const override;

  // decoding_step.cpp
  int64_t decodingRows(const CachedAttentionRow* rows, int64_t count) const override;
  void decodingStep(const DecodingStep& step, const std::function<void()>& ops) override;
  const DecodingGraphs& decodingGraphs() const { return graphs_; }

 private:
  // Every op opens one. With the profiler on it waits for the device at its end, so that times are the
  // device's.
  class Scope {
   public:
    Scope(CudaBackend& backend, const char* op, double flops = 0)
        : scope_(backend.profiler(), op, flops), wait_{backend} {
      backend.op_ = op;
    }

   private:
    struct Wait {
      CudaBackend& backend;
      ~Wait();
    };
    Profiler::Scope scope_;
    Wait wait_;  // declared last, so that it ends first
  };

  void product(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
               float beta);
  Tensor rounded(const Tensor& operand, Buffer& memory);
  void multiplyInt8(const Tensor& out, const Tensor& x, const PackedWeight& weight);
  void* workspace(size_t bytes);  // valid until the next call
  // Returns device addresses of the pieces, and of block tables and lengths: of the decoding step's own
  // arrays where they are among these, otherwise of new copies.
  std::vector<const void*> upload(std::initializer_list<Staging::Piece> pieces);
  CachedRows upload(const CachedAttentionRow* rows, int64_t count);

  bool replays(int64_t rows) const;
  Graph record(const std::function<void()>& ops);
  void endRecording() noexcept;
  void refuseWhileRecording(const char* what) const;

  std::string deviceName_;
  Stream stream_;
  std::unique_ptr<Staging> staging_;
  std::unique_ptr<MatrixProducts> products_;
  Buffer productWorkspace_, workspace_, roundedA_, roundedB_;

  std::unordered_map<void*, uint64_t> memory_;  // allocated memory and its number
  uint64_t newestMemory_ = 0;
  const bool graphsOn_;
  DecodingGraphs graphs_;
  std::unique_ptr<DecodingArrays> arrays_;
  bool recording_ = false;
  std::vector<void*> withheld_;  // memory that was released while recording
  const char* op_ = "no op";     // the last op that began
};

}  // namespace hdpo::cuda
