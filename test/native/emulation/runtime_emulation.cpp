// The CUDA runtime that CudaBackend sees in tests: one device whose memory is the host's, and a stream that
// runs everything at once, but copies from pinned memory as late as the runtime may.
#include "runtime_emulation.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "core/error.h"
#include "cuda/runtime.h"
#include "cuda_emulation.h"

namespace hdpo::emulation {

namespace {

constexpr size_t kAlignment = 256;

struct LateCopy {
  void* destination;
  const void* source;
  size_t bytes;
};

struct Memory {
  size_t limit = size_t{1} << 40, used = 0;
  std::map<void*, size_t> allocations;
  std::vector<LateCopy> late;
};

Memory& memory() {
  static Memory only;
  return only;
}

}  // namespace

void setDeviceMemory(size_t bytes) { memory().limit = bytes; }
size_t deviceAllocations() { return memory().allocations.size(); }

void runLateCopies() {
  for (const LateCopy& copy : memory().late) std::memcpy(copy.destination, copy.source, copy.bytes);
  memory().late.clear();
}

}  // namespace hdpo::emulation

namespace hdpo::cuda {

using emulation::memory;

Stream createStream(int) {
  emulation::setBeforeLaunch(emulation::runLateCopies);
  return nullptr;
}
void destroyStream(Stream) noexcept { emulation::runLateCopies(); }
void synchronise(Stream) { emulation::runLateCopies(); }

// Poisoned: a device's memory holds whatever was there before.
void* allocateDevice(Stream, size_t bytes) {
  if (memory().used + bytes > memory().limit) return nullptr;
  const size_t size = (bytes + emulation::kAlignment) / emulation::kAlignment * emulation::kAlignment;
  void* pointer = std::aligned_alloc(emulation::kAlignment, size);
  std::memset(pointer, 0xFF, size);
  memory().allocations[pointer] = bytes;
  memory().used += bytes;
  return pointer;
}
void releaseDevice(Stream, void* pointer) noexcept {
  emulation::runLateCopies();
  memory().used -= memory().allocations.at(pointer);
  memory().allocations.erase(pointer);
  std::free(pointer);
}
void* allocatePinned(size_t bytes) { return std::malloc(bytes); }
void releasePinned(void* pointer) noexcept { std::free(pointer); }

void copyToDevice(Stream, void* destination, const void* source, size_t bytes) {
  emulation::runLateCopies();
  std::memcpy(destination, source, bytes);
}
// Runs when the stream is waited for or the next thing is queued: pinned memory written too early shows.
void copyToDeviceLater(Stream, void* destination, const void* pinned, size_t bytes) {
  memory().late.push_back({destination, pinned, bytes});
}
void copyToHost(Stream, void* destination, const void* source, size_t bytes) {
  emulation::runLateCopies();
  std::memcpy(destination, source, bytes);
}
void copyOnDevice(Stream, void* destination, const void* source, size_t bytes) {
  emulation::runLateCopies();
  std::memmove(destination, source, bytes);
}
void zeroDevice(Stream, void* destination, size_t bytes) {
  emulation::runLateCopies();
  std::memset(destination, 0, bytes);
}

DeviceMemory deviceMemory() { return {memory().limit - memory().used, memory().limit}; }

Mark::~Mark() = default;
void Mark::set(Stream) {}
void Mark::wait() { emulation::runLateCopies(); }

}  // namespace hdpo::cuda
