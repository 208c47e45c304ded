// Matrix products by cuBLAS, loaded when the first backend is made: neither building nor loading the addon
// needs the library. The prototypes of the few functions used are ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "cuda/cuda_backend.h"

namespace hdpo::cuda {

// The loaded library, which is loaded once per process. Throws ERR_DEVICE listing what was tried: only
// HDPO_CUBLAS_PATH (a file, or the folder that it lies in) where it is set; otherwise libcublas.so.13 and .12
// as the system finds them, then in the lib64 folders of CUDA_HOME, CUDA_PATH and /usr/local/cuda.
struct CublasLibrary;
const CublasLibrary& cublasLibrary();
std::string cublasPath();     // of the loaded library
std::string cublasVersion();  // "13.0.0"; needs a device

class Cublas final : public MatrixProducts {
 public:
  // workspace: device memory that products may use; it must live as long as this object.
  Cublas(Stream stream, void* workspace, size_t workspaceBytes);
  ~Cublas() override;
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  // out = op(a) * op(b) + beta * out with the shapes of Backend::matmul. a and b are both float32 (without
  // TF32) or both bfloat16. out is float32, or bfloat16 with bfloat16 operands. Sums are taken in float32.
  void product(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
               float beta) override;

 private:
  void* handle_ = nullptr;
};

}  // namespace hdpo::cuda
