// Life and memory of the CUDA backend; its ops are at the foot of the files of their kernels.
#include "cuda/cuda_backend.h"

#include <cassert>

#include "core/error.h"

namespace hdpo::cuda {

namespace {

constexpr size_t kProductWorkspaceBytes = size_t{32} << 20;  // what NVIDIA advises for Hopper

std::string mebibytes(size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

CudaBackend::CudaBackend(int device, std::string deviceName, const MakeProducts& makeProducts, bool graphs)
    : deviceName_(std::move(deviceName)), stream_(createStream(device)), graphsOn_(graphs) {
  try {
    staging_ = std::make_unique<Staging>(stream_);
    arrays_ = std::make_unique<DecodingArrays>(*this, stream_);
    productWorkspace_.reserve(*this, kProductWorkspaceBytes);
    products_ = makeProducts(stream_, productWorkspace_.data(), productWorkspace_.bytes());
  } catch (...) {
    arrays_.reset();
    staging_.reset();
    productWorkspace_ = Buffer();
    destroyStream(stream_);
    throw;
  }
}

CudaBackend::~CudaBackend() {
  try {
    synchronise(stream_);  // copies out of pinned memory may still run
  } catch (const Error&) {
    // Nobody is left to hear of a failure here.
  }
  graphs_.clear();
  products_.reset();
  arrays_.reset();
  staging_.reset();
  for (Buffer* buffer : {&productWorkspace_, &workspace_, &roundedA_, &roundedB_}) *buffer = Buffer();
  destroyStream(stream_);
}

CudaBackend::Scope::Wait::~Wait() {
  if (!backend.profiler().enabled()) return;
  try {
    synchronise(backend.stream_);
  } catch (const Error&) {
    // A failed kernel also shows in the next call that waits, which can throw.
  }
}

void* CudaBackend::allocate(size_t bytes) {
  refuseWhileRecording("memory is allocated");
  void* pointer = allocateDevice(stream_, bytes > 0 ? bytes : 1);
  if (pointer) {
    memory_[pointer] = ++newestMemory_;
    return pointer;
  }
  const DeviceMemory memory = deviceMemory();
  throw Error(
      "ERR_OUT_OF_MEMORY",
      deviceName_ + " has " + mebibytes(memory.freeBytes) + " of " + mebibytes(memory.totalBytes) +
          " left, and " + mebibytes(bytes) +
          " more are needed: lower kvBudgetMiB or microBatchTokens, turn on recompute, or train a LoRA");
}

void CudaBackend::release(void* pointer) noexcept {
  if (recording_) return withheld_.push_back(pointer);
  const auto found = memory_.find(pointer);
  assert(found != memory_.end());
  graphs_.released(found->second);
  memory_.erase(found);
  releaseDevice(stream_, pointer);
}

void CudaBackend::copyFromHost(void* destination, const void* source, size_t bytes) {
  refuseWhileRecording("a copy from the host waits");
  if (bytes > 0) copyToDevice(stream_, destination, source, bytes);
}

void CudaBackend::copyToHost(void* destination, const void* source, size_t bytes) {
  refuseWhileRecording("a copy to the host waits");
  if (bytes > 0) cuda::copyToHost(stream_, destination, source, bytes);
}

void CudaBackend::zero(void* destination, size_t bytes) {
  if (bytes > 0) zeroDevice(stream_, destination, bytes);
}

DeviceDefaults CudaBackend::defaults() {
  return {.kvBudgetBytes = deviceMemory().totalBytes / 5, .maxBatchRows = 2048, .microBatchTokens = 8192};
}

std::optional<size_t> CudaBackend::availableBytes() { return deviceMemory().freeBytes; }

void* CudaBackend::workspace(size_t bytes) {
  workspace_.reserve(*this, bytes);
  return workspace_.data();
}

}  // namespace hdpo::cuda
