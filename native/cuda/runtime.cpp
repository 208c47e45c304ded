#include "cuda/runtime.h"

#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/error.h"

namespace hdpo::cuda {

namespace {

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  throw Error("ERR_CUDA",
              std::string(call) + " failed: " + cudaGetErrorName(status) + ", " + cudaGetErrorString(status));
}

// Pools keep what is released, because handing memory back to the driver at every wait costs milliseconds.
void keepReleasedMemory(int device) {
  int supported = 0;
  check(cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, device),
        "cudaDeviceGetAttribute");
  require(supported != 0, "ERR_DEVICE", "this GPU's driver has no memory pools (cudaMallocAsync)");
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
  uint64_t threshold = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold),
        "cudaMemPoolSetAttribute");
}

}  // namespace

Stream createStream(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  keepReleasedMemory(device);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return stream;
}

void destroyStream(Stream stream) noexcept {
  cudaStreamSynchronize(stream);
  cudaStreamDestroy(stream);
}

void synchronise(Stream stream) { check(cudaStreamSynchronize(stream), "cudaStreamSynchronize"); }

void* allocateDevice(Stream stream, size_t bytes) {
  void* pointer = nullptr;
  cudaError_t status = cudaMallocAsync(&pointer, bytes, stream);
  if (status == cudaErrorMemoryAllocation) {
    // The pool may hold enough, in pieces that are too small: give those back and try once more.
    cudaGetLastError();
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    int device = 0;
    cudaMemPool_t pool = nullptr;
    check(cudaGetDevice(&device), "cudaGetDevice");
    check(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
    check(cudaMemPoolTrimTo(pool, 0), "cudaMemPoolTrimTo");
    status = cudaMallocAsync(&pointer, bytes, stream);
  }
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(status, "cudaMallocAsync");
  return pointer;
}

void releaseDevice(Stream stream, void* pointer) noexcept { cudaFreeAsync(pointer, stream); }

void* allocatePinned(size_t bytes) {
  void* pointer = nullptr;
  const cudaError_t status = cudaHostAlloc(&pointer, bytes, cudaHostAllocDefault);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw Error("ERR_OUT_OF_MEMORY", "could not lock " + std::to_string(bytes) + " bytes of host memory");
  }
  check(status, "cudaHostAlloc");
  return pointer;
}

void releasePinned(void* pointer) noexcept { cudaFreeHost(pointer); }

// The runtime stages pageable memory before it returns, up to 64 KiB; beyond that it waits for the copy
// itself.
void copyToDevice(Stream stream, void* destination, const void* source, size_t bytes) {
  check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

void copyToDeviceLater(Stream stream, void* destination, const void* pinned, size_t bytes) {
  check(cudaMemcpyAsync(destination, pinned, bytes, cudaMemcpyHostToDevice, stream), "cudaMemcpyAsync");
}

void copyToHost(Stream stream, void* destination, const void* source, size_t bytes) {
  check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToHost, stream), "cudaMemcpyAsync");
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
}

void copyOnDevice(Stream stream, void* destination, const void* source, size_t bytes) {
  check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, stream), "cudaMemcpyAsync");
}

void zeroDevice(Stream stream, void* destination, size_t bytes) {
  check(cudaMemsetAsync(destination, 0, bytes, stream), "cudaMemsetAsync");
}

void DestroyGraph::operator()(CUgraphExec_st* graph) const noexcept { cudaGraphExecDestroy(graph); }

// Capture is limited to this thread: other engines go on allocating and waiting.
void beginCapture(Stream stream) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
}

Graph endCapture(Stream stream) {
  cudaGraph_t recorded = nullptr;
  check(cudaStreamEndCapture(stream, &recorded), "cudaStreamEndCapture");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, recorded, 0);
  cudaGraphDestroy(recorded);
  check(status, "cudaGraphInstantiate");
  return Graph(executable);
}

void abandonCapture(Stream stream) noexcept {
  cudaGraph_t recorded = nullptr;
  cudaStreamEndCapture(stream, &recorded);
  if (recorded) cudaGraphDestroy(recorded);
  cudaGetLastError();  // the reason for abandoning is known
}

void launchGraph(Stream stream, const Graph& graph) {
  check(cudaGraphLaunch(graph.get(), stream), "cudaGraphLaunch");
}

DeviceMemory deviceMemory() {
  DeviceMemory memory;
  check(cudaMemGetInfo(&memory.freeBytes, &memory.totalBytes), "cudaMemGetInfo");
  // Memory that the pool holds and nobody uses is free too.
  int device = 0;
  cudaMemPool_t pool = nullptr;
  uint64_t reserved = 0, used = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
  check(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved),
        "cudaMemPoolGetAttribute");
  check(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used), "cudaMemPoolGetAttribute");
  memory.freeBytes += static_cast<size_t>(reserved - used);
  return memory;
}

Mark::~Mark() {
  if (event_) cudaEventDestroy(static_cast<cudaEvent_t>(event_));
}

void Mark::set(Stream stream) {
  if (!event_) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
    event_ = event;
  }
  check(cudaEventRecord(static_cast<cudaEvent_t>(event_), stream), "cudaEventRecord");
}

void Mark::wait() {
  if (event_) check(cudaEventSynchronize(static_cast<cudaEvent_t>(event_)), "cudaEventSynchronize");
}

}  // namespace hdpo::cuda
