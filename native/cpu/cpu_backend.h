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

#define HDPO_OP override
#include "ops/op_list.h"
#undef HDPO_OP

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
