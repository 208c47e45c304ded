// The few things that CudaBackend's host code asks of the CUDA runtime. It is a seam: tests run the same host
// code on emulated kernels with the host's memory (test/native/emulation/runtime_emulation.cpp).
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "cuda/types.h"

namespace hdpo::cuda {

// Makes the device current on the calling thread and returns a new stream on it. Every call that fails throws
// ERR_CUDA naming itself and the reason. A failed kernel shows in the first call after it that waits.
Stream createStream(int device);
void destroyStream(Stream stream) noexcept;
void synchronise(Stream stream);

// Takes device memory from a pool of the device, in the order of the stream: what is released is used again
// without going back to the driver. Returns null where there is not enough.
void* allocateDevice(Stream stream, size_t bytes);
void releaseDevice(Stream stream, void* pointer) noexcept;
// Page-locked host memory that copies can run from while the host goes on.
void* allocatePinned(size_t bytes);
void releasePinned(void* pointer) noexcept;

// copyToDevice from pageable memory returns when `source` may be changed. copyToDeviceLater needs pinned
// memory that stays as it is until the stream has come there. copyToHost waits.
void copyToDevice(Stream stream, void* destination, const void* source, size_t bytes);
void copyToDeviceLater(Stream stream, void* destination, const void* pinned, size_t bytes);
void copyToHost(Stream stream, void* destination, const void* source, size_t bytes);
void copyOnDevice(Stream stream, void* destination, const void* source, size_t bytes);
void zeroDevice(Stream stream, void* destination, size_t bytes);

// After begin, what the stream is given is recorded instead of run: kernels with their arguments, copies and
// fills on the device. Meanwhile it is an error to wait for the stream or to take memory from it. end returns
// what launchGraph then runs in the order of the stream; abandon forgets it. After either, and after an error
// of end, the stream runs what it is given again.
struct DestroyGraph {
  void operator()(CUgraphExec_st* graph) const noexcept;  // a graph that runs is destroyed when it has ended
};
using Graph = std::unique_ptr<CUgraphExec_st, DestroyGraph>;
void beginCapture(Stream stream);
Graph endCapture(Stream stream);
void abandonCapture(Stream stream) noexcept;
void launchGraph(Stream stream, const Graph& graph);

struct DeviceMemory {
  size_t freeBytes = 0, totalBytes = 0;
};
DeviceMemory deviceMemory();

// A point of the stream to wait for.
class Mark {
 public:
  Mark() = default;
  ~Mark();
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;
  void set(Stream stream);
  void wait();  // returns at once where it was never set

 private:
  void* event_ = nullptr;
};

}  // namespace hdpo::cuda
