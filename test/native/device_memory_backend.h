// The CPU's ops on memory that the host may not touch, like a GPU's. Whoever reads or writes a tensor other
// than by an op, copyFromHost or copyToHost ends the process with a segmentation fault.
#pragma once

#include <sys/mman.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>

#include "core/error.h"
#include "ops/backend.h"

namespace hdpo {

class DeviceMemoryBackend final : public Backend {
 public:
  explicit DeviceMemoryBackend(int threads) : cpu_(createCpuBackend(threads)) {}
  ~DeviceMemoryBackend() override {
    for (const auto& [pointer, bytes] : regions_) munmap(pointer, bytes);
  }
  const char* name() const override { return "device memory"; }
  int threads() const override { return cpu_->threads(); }

  void* allocate(size_t bytes) override {
    const size_t size = (bytes / kPage + 1) * kPage;
    void* pointer = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(pointer != MAP_FAILED, "ERR_OUT_OF_MEMORY", "mmap failed");
    regions_[pointer] = size;
    return pointer;
  }
  void release(void* pointer) noexcept override {
    munmap(pointer, regions_.at(pointer));
    regions_.erase(pointer);
  }
  size_t allocations() const { return regions_.size(); }
  // Called before every copy from the host, where it is set.
  std::function<void()> beforeCopy;

  void copyFromHost(void* to, const void* from, size_t bytes) override {
    if (beforeCopy) beforeCopy();
    open([&] { std::memcpy(to, from, bytes); });
  }
  void copyToHost(void* to, const void* from, size_t bytes) override {
    open([&] { std::memcpy(to, from, bytes); });
  }
  void zero(void* to, size_t bytes) override {
    open([&] { std::memset(to, 0, bytes); });
  }
  void matmul(const Tensor& out, const Tensor& a, bool ta, const Tensor& b, bool tb, float beta) override {
    open([&] { cpu_->matmul(out, a, ta, b, tb, beta); });
  }
  void rmsNorm(const Tensor& y, const Tensor& inverse, const Tensor& x, const Tensor& w,
               float epsilon) override {
    open([&] { cpu_->rmsNorm(y, inverse, x, w, epsilon); });
  }
  void rmsNormBackward(const Tensor& gradX, bool accumulate, const Tensor& gradW, const Tensor& gradY,
                       const Tensor& x, const Tensor& w, const Tensor& inverse) override {
    open([&] { cpu_->rmsNormBackward(gradX, accumulate, gradW, gradY, x, w, inverse); });
  }
  void headNorm(const Tensor& out, const Tensor& inverse, const Tensor& qkv, const Tensor& q, const Tensor& k,
                const AttentionShape& shape, float epsilon) override {
    open([&] { cpu_->headNorm(out, inverse, qkv, q, k, shape, epsilon); });
  }
  void headNormBackward(const Tensor& grad, const Tensor& gradQ, const Tensor& gradK, const Tensor& qkv,
                        const Tensor& q, const Tensor& k, const Tensor& inverse,
                        const AttentionShape& shape) override {
    open([&] { cpu_->headNormBackward(grad, gradQ, gradK, qkv, q, k, inverse, shape); });
  }
  void rotary(const Tensor& qkv, const AttentionShape& shape, const int32_t* positions,
              const float* frequencies, int direction) override {
    open([&] { cpu_->rotary(qkv, shape, positions, frequencies, direction); });
  }
  void attention(const Tensor& out, const Tensor& sums, const Tensor& qkv, const int32_t* offsets,
                 int64_t sequences, const AttentionShape& shape) override {
    open([&] { cpu_->attention(out, sums, qkv, offsets, sequences, shape); });
  }
  void attentionBackward(const Tensor& gradQkv, const Tensor& gradOut, const Tensor& qkv, const Tensor& out,
                         const Tensor& sums, const int32_t* offsets, int64_t sequences,
                         const AttentionShape& shape) override {
    open([&] { cpu_->attentionBackward(gradQkv, gradOut, qkv, out, sums, offsets, sequences, shape); });
  }
  void swiglu(const Tensor& out, const Tensor& gateUp) override {
    open([&] { cpu_->swiglu(out, gateUp); });
  }
  void swigluBackward(const Tensor& grad, const Tensor& gradOut, const Tensor& gateUp) override {
    open([&] { cpu_->swigluBackward(grad, gradOut, gateUp); });
  }
  void embedding(const Tensor& out, const Tensor& table, const int32_t* tokens) override {
    open([&] { cpu_->embedding(out, table, tokens); });
  }
  void embeddingBackward(const Tensor& gradTable, const Tensor& gradOut, const int32_t* tokens) override {
    open([&] { cpu_->embeddingBackward(gradTable, gradOut, tokens); });
  }
  void convert(const Tensor& out, const Tensor& in) override {
    open([&] { cpu_->convert(out, in); });
  }
  void add(const Tensor& out, const Tensor& a, const Tensor& b) override {
    open([&] { cpu_->add(out, a, b); });
  }
  void addBias(const Tensor& rows, const Tensor& bias) override {
    open([&] { cpu_->addBias(rows, bias); });
  }
  void biasBackward(const Tensor& gradBias, const Tensor& gradRows) override {
    open([&] { cpu_->biasBackward(gradBias, gradRows); });
  }
  void gatherRows(const Tensor& out, const Tensor& rows, const int32_t* index) override {
    open([&] { cpu_->gatherRows(out, rows, index); });
  }
  void scatterRows(const Tensor& out, const Tensor& rows, const int32_t* index) override {
    open([&] { cpu_->scatterRows(out, rows, index); });
  }
  void dropout(const Tensor& out, const Tensor& rows, const DropoutMask& mask) override {
    open([&] { cpu_->dropout(out, rows, mask); });
  }
  void spreadBlocks(const Tensor& out, const Tensor& up, const AdapterBlock* blocks, int64_t modules,
                    float scale) override {
    open([&] { cpu_->spreadBlocks(out, up, blocks, modules, scale); });
  }
  void spreadBlocksBackward(const Tensor& gradUp, const Tensor& gradOut, const AdapterBlock* blocks,
                            int64_t modules, float scale) override {
    open([&] { cpu_->spreadBlocksBackward(gradUp, gradOut, blocks, modules, scale); });
  }
  double sumOfSquares(const Tensor& values) override {
    double result = 0;
    open([&] { result = cpu_->sumOfSquares(values); });
    return result;
  }
  void adamW(const Tensor& weight, const Tensor& gradient, const Tensor& momentum, const Tensor& variance,
             const AdamWOptions& options) override {
    open([&] { cpu_->adamW(weight, gradient, momentum, variance, options); });
  }
  void groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) override {
    open([&] { cpu_->groupAdvantages(input, output); });
  }
  PolicyLossSums policyLoss(const PolicyLossInput& input, const PolicyLossOutput& output) override {
    PolicyLossSums sums;
    open([&] { sums = cpu_->policyLoss(input, output); });
    return sums;
  }
  PolicyLossSums linearLoss(const LinearLossInput& input, const LinearLossOutput& output) override {
    PolicyLossSums sums;
    open([&] { sums = cpu_->linearLoss(input, output); });
    return sums;
  }
  size_t packedBytes(const MatrixShape& weight, PackedFormat format) override {
    return cpu_->packedBytes(weight, format);
  }
  void packWeight(const PackedWeight& packed, const Tensor& weight) override {
    open([&] { cpu_->packWeight(packed, weight); });
  }
  void packedMatmul(const Tensor& out, const Tensor& x, const PackedWeight& weight) override {
    open([&] { cpu_->packedMatmul(out, x, weight); });
  }
  void writeCache(const Tensor& cache, const Tensor& qkv, const CachedAttentionRow* rows,
                  const AttentionShape& shape) override {
    open([&] { cpu_->writeCache(cache, qkv, rows, shape); });
  }
  void cachedAttention(const Tensor& out, const Tensor& cache, const Tensor& qkv,
                       const CachedAttentionRow* rows, const AttentionShape& shape) override {
    open([&] { cpu_->cachedAttention(out, cache, qkv, rows, shape); });
  }

 private:
  static constexpr size_t kPage = 4096;

  // All memory is open while `op` runs, and is closed again whatever it throws.
  template <class Op>
  void open(const Op& op) {
    struct Open {
      const std::map<void*, size_t>& regions;
      explicit Open(const std::map<void*, size_t>& all) : regions(all) { protect(PROT_READ | PROT_WRITE); }
      ~Open() { protect(PROT_NONE); }
      void protect(int access) const {
        for (const auto& [pointer, bytes] : regions) {
          if (mprotect(pointer, bytes, access) != 0) std::abort();
        }
      }
    };
    const Open opened(regions_);
    op();
  }

  std::unique_ptr<Backend> cpu_;
  std::map<void*, size_t> regions_;
};

}  // namespace hdpo
