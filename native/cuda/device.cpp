// Looks for a GPU that this build can use, and names the first thing that is missing.
#include "ops/device.h"

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdlib>

#include "core/error.h"
#include "cuda/cublas.h"
#include "cuda/cuda_backend.h"

namespace hdpo {

namespace {

constexpr int kDevice = 0;  // the first that CUDA_VISIBLE_DEVICES leaves
constexpr int kOldestCapability = 80;

// 13000 -> "13.0"
std::string versionOf(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

// The driver is asked for by name, because the runtime reports a missing one and an old one with the same
// error.
bool driverLoads() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver) dlclose(driver);
  return driver != nullptr;
}

std::string missingDevice(CudaStatus& status) {
  if (!driverLoads()) {
    return "the NVIDIA driver is missing: libcuda.so.1 cannot be loaded (in a container, was it started with "
           "its "
           "GPUs, e.g. docker run --gpus all?)";
  }
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0) status.driver = versionOf(driver);
  const cudaError_t found = cudaGetDeviceCount(&count);
  if (found == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is too old: it supports CUDA " + status.driver + ", this build needs " +
           status.runtime;
  }
  if (found == cudaErrorNoDevice || (found == cudaSuccess && count == 0)) {
    return "there is an NVIDIA driver but no GPU that it shows to this process (is CUDA_VISIBLE_DEVICES "
           "set?)";
  }
  if (found != cudaSuccess) {
    return std::string("the NVIDIA driver does not start: ") + cudaGetErrorName(found) + ", " +
           cudaGetErrorString(found);
  }
  cudaDeviceProp properties{};
  const cudaError_t asked = cudaGetDeviceProperties(&properties, kDevice);
  if (asked != cudaSuccess) return std::string("the GPU does not answer: ") + cudaGetErrorString(asked);
  status.device = properties.name;
  status.capability = std::to_string(properties.major) + "." + std::to_string(properties.minor);
  if (10 * properties.major + properties.minor < kOldestCapability) {
    return status.device + " has compute capability " + status.capability + ", 8.0 or later is needed";
  }
  const cudaError_t started = cudaSetDevice(kDevice);
  if (started == cudaSuccess) cudaMemGetInfo(&status.freeBytes, &status.totalBytes);
  return started == cudaSuccess ? "" : std::string("the GPU does not start: ") + cudaGetErrorString(started);
}

std::string missingCublas(CudaStatus& status) {
  try {
    status.cublas = cuda::cublasVersion() + ", " + cuda::cublasPath();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string wrongSetting(CudaStatus& status) {
  try {
    status.graphs = cuda::graphsWanted(std::getenv("HDPO_CUDA_GRAPHS"));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

bool builtWithCuda() { return true; }

CudaStatus cudaStatus() {
  CudaStatus status;
  status.built = true;
  status.runtime = versionOf(CUDART_VERSION);
  status.missing = missingDevice(status);
  cudaGetLastError();  // what was found out must not be the next call's error
  for (const std::string& reason : {missingCublas(status), wrongSetting(status)}) {
    if (status.missing.empty()) status.missing = reason;
  }
  return status;
}

std::unique_ptr<Backend> createCudaBackend() {
  const CudaStatus status = cudaStatus();
  require(status.missing.empty(), "ERR_DEVICE", "device 'cuda': " + status.missing);
  return std::make_unique<cuda::CudaBackend>(
      kDevice, status.device,
      [](cuda::Stream stream, void* workspace, size_t bytes) {
        return std::make_unique<cuda::Cublas>(stream, workspace, bytes);
      },
      status.graphs);
}

}  // namespace hdpo
