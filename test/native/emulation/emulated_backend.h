// The CUDA backend on the emulated device, with plain loops in place of cuBLAS.
#pragma once

#include <doctest/doctest.h>

#include <memory>

#include "cuda/cuda_backend.h"
#include "cuda_emulation.h"
#include "matrix_product.h"
#include "runtime_emulation.h"

namespace hdpo {

class PlainProducts final : public cuda::MatrixProducts {
 public:
  void product(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
               float beta) override {
    CHECK(a.dtype == b.dtype);  // as cuBLAS requires
    emulation::submit([=] {
      emulation::runLateCopies();
      plainProduct(out, a, transposeA, b, transposeB, beta);
    });
  }
};

inline std::unique_ptr<cuda::CudaBackend> emulatedBackend(bool graphs = true) {
  return std::make_unique<cuda::CudaBackend>(
      0, "an emulated GPU",
      [](cuda::Stream, void* workspace, size_t bytes) {
        CHECK(workspace != nullptr);
        CHECK(bytes > 0);
        return std::make_unique<PlainProducts>();
      },
      graphs);
}

}  // namespace hdpo
