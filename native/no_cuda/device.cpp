// Stands in for native/cuda/device.cpp in a build without CUDA.
#include "ops/device.h"

#include "core/error.h"

namespace hdpo {

bool builtWithCuda() { return false; }

CudaStatus cudaStatus() {
  CudaStatus status;
  status.missing =
      "this build of hdpo has no CUDA kernels; build it where the CUDA toolkit's nvcc is on the PATH or in "
      "/usr/local/cuda/bin (a clone: npm run build:native)";
  return status;
}

std::unique_ptr<Backend> createCudaBackend() {
  throw Error("ERR_DEVICE", "device 'cuda': " + cudaStatus().missing);
}

}  // namespace hdpo
