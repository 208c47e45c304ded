#include "ops/device.h"

namespace hdpo {

std::unique_ptr<Backend> createBackend(Device device, int threads) {
  if (device == Device::Cuda) return createCudaBackend();
  if (device == Device::Auto && cudaStatus().missing.empty()) return createCudaBackend();
  return createCpuBackend(threads);
}

}  // namespace hdpo
