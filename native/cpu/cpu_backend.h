// The CPU backend: float32 and bfloat16, oneDNN for the large products, OpenMP (the pool that oneDNN uses
// too) for everything else. Each override is defined in the file of its kernel family.
#pragma once

#include <memory>
#include <vector>

#include "cpu/matrix_product.h"
#include "cpu/thread_waiting.h"
#include "ops/backend.h"
#include "ops/buffer.h"

namespace hdpo {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads);
  ~CpuBackend() override;
  const char* name() const override { return "cpu"; }
  int threads() const override { return threads_; }

  void* allocate(size_t bytes) override;
  void release(void* pointer) noexcept override;
  void copyFromHost(void* destination, const void* source, size_t bytes) override;
  void copyToHost(void* destination, const void* source, size_t bytes) override;
  void zero(void* destination, size_t bytes) override;
  bool hostMemory() const override { return true; }

  void matmul(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
              float beta) override;
  void rmsNorm(const Tensor& y, const Tensor& inverseRms, const Tensor& x, const Tensor& weight,
               float epsilon) override;
  void rmsNormBackward(const Tensor& gradX, bool accumulate, const Tensor& gradWeight, const Tensor& gradY,
                       const Tensor& x, const Tensor& weight, const Tensor& inverseRms) override;
  void headNorm(const Tensor& out, const Tensor& inverseRms, const Tensor& qkv, const Tensor& queryWeight,
                const Tensor& keyWeight, int64_t heads, int64_t kvHeads, int64_t headDim,
                float epsilon) override;
  void headNormBackward(const Tensor& gradQkv, const Tensor& gradQueryWeight, const Tensor& gradKeyWeight,
                        const Tensor& qkv, const Tensor& queryWeight, const Tensor& keyWeight,
                        const Tensor& inverseRms, int64_t heads, int64_t kvHeads, int64_t headDim) override;
  void rotary(const Tensor& qkv, int64_t heads, int64_t headDim, const int32_t* positions,
              const float* inverseFrequencies, int direction) override;
  void attention(const Tensor& out, const Tensor& logSumExp, const Tensor& qkv, const int32_t* offsets,
                 int64_t sequences, int64_t heads, int64_t kvHeads, int64_t headDim) override;
  void attentionBackward(const Tensor& gradQkv, const Tensor& gradOut, const Tensor& qkv, const Tensor& out,
                         const Tensor& logSumExp, const int32_t* offsets, int64_t sequences, int64_t heads,
                         int64_t kvHeads, int64_t headDim) override;
  void swiglu(const Tensor& out, const Tensor& gateUp) override;
  void swigluBackward(const Tensor& gradGateUp, const Tensor& gradOut, const Tensor& gateUp) override;
  void embedding(const Tensor& out, const Tensor& table, const int32_t* tokens) override;
  void embeddingBackward(const Tensor& gradTable, const Tensor& gradOut, const int32_t* tokens) override;
  void convert(const Tensor& out, const Tensor& in) override;
  void add(const Tensor& out, const Tensor& a, const Tensor& b) override;
  void addBias(const Tensor& rows, const Tensor& bias) override;
  void biasBackward(const Tensor& gradBias, const Tensor& gradRows) override;
  void dropout(const Tensor& out, const Tensor& rows, const DropoutMask& mask) override;
  void spreadBlocks(const Tensor& out, const Tensor& up, const AdapterBlock* blocks, int64_t modules,
                    float scale) override;
  void spreadBlocksBackward(const Tensor& gradUp, const Tensor& gradOut, const AdapterBlock* blocks,
                            int64_t modules, float scale) override;
  void gatherRows(const Tensor& out, const Tensor& rows, const int32_t* index) override;
  void scatterRows(const Tensor& out, const Tensor& rows, const int32_t* index) override;
  double sumOfSquares(const Tensor& values) override;
  void adamW(const Tensor& weight, const Tensor& gradient, const Tensor& momentum, const Tensor& variance,
             const AdamWOptions& options) override;
  void groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) override;
  PolicyLossSums policyLoss(const PolicyLossInput& input, const PolicyLossOutput& output) override;
  PolicyLossSums linearLoss(const LinearLossInput& input, const LinearLossOutput& output) override;
  size_t packedBytes(int64_t outputs, int64_t inputs, PackedFormat format) override;
  void packWeight(const PackedWeight& packed, const Tensor& weight) override;
  void packedMatmul(const Tensor& out, const Tensor& x, const PackedWeight& weight) override;
  void writeCache(const Tensor& cache, const Tensor& qkv, const CachedAttentionRow* rows, int64_t heads,
                  int64_t kvHeads, int64_t headDim) override;
  void cachedAttention(const Tensor& out, const Tensor& cache, const Tensor& qkv,
                       const CachedAttentionRow* rows, int64_t heads, int64_t kvHeads,
                       int64_t headDim) override;

 private:
  // Cosines and sines of every position so far. The table grows by doubling (rotary.cpp).
  struct RotaryTable {
    std::vector<float> inverseFrequencies;  // [headDim / 2]
    int64_t positions = 0;
    std::vector<float> cosSin;  // [positions][2][headDim / 2]
  };
  const float* rotaryTable(int64_t positions, int64_t headDim, const float* inverseFrequencies);

  int threads_;
  std::shared_ptr<ThreadWaiting> waiting_;  // null where nobody asked for it or there is one thread
  RotaryTable rotary_;
  MatrixProducts products_;
  Buffer scratch_;   // temporary memory of the op that runs
  Buffer operands_;  // x of a packed product, in the form that its format wants
};

}  // namespace hdpo
