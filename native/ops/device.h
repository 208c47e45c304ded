// Which hardware an engine runs on. A build without CUDA has the same functions (native/no_cuda), so that
// call sites need no #ifdef.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "ops/backend.h"

namespace hdpo {

enum class Device : uint8_t { Auto, Cpu, Cuda };

// What CUDA looks like from here. `missing` is empty exactly when a backend can be made.
struct CudaStatus {
  bool built = false;
  std::string missing;     // the first thing that is not there, as a sentence that says what to do
  std::string device;      // "NVIDIA H100 80GB HBM3"; empty where no GPU was found
  std::string capability;  // "9.0"
  std::string driver;      // newest CUDA version that the driver supports, "13.0"; empty without a driver
  std::string runtime;     // CUDA version of this build
  std::string cublas;      // version and path of the library that was loaded
  size_t totalBytes = 0, freeBytes = 0;
  bool graphs = true;  // decoding steps are recorded and replayed (HDPO_CUDA_GRAPHS)
};

// Whether this build has the kernels.
bool builtWithCuda();

// Looks anew at every call; never throws.
CudaStatus cudaStatus();

// Throws ERR_DEVICE with CudaStatus::missing where something is missing.
std::unique_ptr<Backend> createCudaBackend();

// Auto: CUDA where it works, otherwise the CPU. threads: as createCpuBackend has them.
std::unique_ptr<Backend> createBackend(Device device, int threads);

// From here on the CPU's threads wait for work as the machine allows (cpu/thread_waiting.h); on an idle
// machine they spin for GNU OpenMP's own number of turns. To be called by whoever has set GOMP_SPINCOUNT,
// which is then taken to be a number for idle machines.
void adaptThreadWaiting();

}  // namespace hdpo
