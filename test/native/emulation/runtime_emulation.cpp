// The CUDA runtime that CudaBackend sees in tests: one device whose memory is the host's, and a stream that
// runs everything at once, except copies from pinned memory, which it runs as late as the runtime may. A
// graph is a list of what was submitted.
#include "runtime_emulation.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "cuda/runtime.h"
#include "cuda_emulation.h"

struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};

namespace hdpo::emulation {

namespace {

constexpr size_t kAlignment = 256;

struct LateCopy {
  void* destination;
  const void* source;
  std::vector<unsigned char> content;  // the source's bytes when the copy was queued
};

// What a mark waits for: this many late copies, counted from the very first.
struct Point {
  uint64_t copies = 0;
};

struct Memory {
  size_t limit = size_t{1} << 40, used = 0;
  std::map<void*, size_t> allocations;
  std::vector<LateCopy> late;
  uint64_t ran = 0;  // late copies that have run so far
  std::map<char*, size_t> pinned;
  std::unique_ptr<CUgraphExec_st> recording;
  int64_t graphs = 0;
  uint64_t graphLaunches = 0;
};

Memory& memory() {
  static Memory only;
  return only;
}

void runFirstLateCopies(size_t count) {
  std::vector<LateCopy>& late = memory().late;
  const auto end = late.begin() + static_cast<int64_t>(count);
  const std::vector<LateCopy> now(std::make_move_iterator(late.begin()), std::make_move_iterator(end));
  late.erase(late.begin(), end);
  memory().ran += count;
  for (const LateCopy& copy : now) {
    const size_t bytes = copy.content.size();
    if (std::memcmp(copy.source, copy.content.data(), bytes) != 0)
      throw Error("ERR_EMULATION", "pinned memory was written before a copy out of it had run");
    std::memcpy(copy.destination, copy.source, bytes);
  }
}

void refuseBeforeCopies(const char* begin, size_t bytes) {
  for (const LateCopy& copy : memory().late) {
    const auto* source = static_cast<const char*>(copy.source);
    if (source >= begin && source < begin + bytes)
      throw Error("ERR_EMULATION", "pinned memory was released before a copy out of it had run");
  }
}

// Refuses what CUDA refuses, or would do at another time than is meant.
void refuseWhileRecording(const char* call) {
  if (memory().recording)
    throw Error("ERR_EMULATION", std::string(call) + " while the stream is being recorded");
}

}  // namespace

void setDeviceMemory(size_t bytes) { memory().limit = bytes; }
size_t deviceAllocations() { return memory().allocations.size(); }
int64_t graphs() { return memory().graphs; }
uint64_t graphLaunches() { return memory().graphLaunches; }

void runLateCopies() { runFirstLateCopies(memory().late.size()); }

}  // namespace hdpo::emulation

namespace hdpo::cuda {

using emulation::memory;
using emulation::refuseWhileRecording;

Stream createStream(int) {
  emulation::setBeforeLaunch(emulation::runLateCopies);
  return nullptr;
}
void destroyStream(Stream) noexcept { emulation::runLateCopies(); }
void synchronise(Stream) {
  refuseWhileRecording("synchronise");
  emulation::runLateCopies();
}

// Memory comes poisoned, because a device's memory holds whatever was there before.
void* allocateDevice(Stream, size_t bytes) {
  refuseWhileRecording("allocateDevice");
  if (memory().used + bytes > memory().limit) return nullptr;
  const size_t size = (bytes + emulation::kAlignment) / emulation::kAlignment * emulation::kAlignment;
  void* pointer = std::aligned_alloc(emulation::kAlignment, size);
  std::memset(pointer, 0xFF, size);
  memory().allocations[pointer] = bytes;
  memory().used += bytes;
  return pointer;
}
void releaseDevice(Stream, void* pointer) noexcept {
  refuseWhileRecording("releaseDevice");  // throwing here ends the process
  emulation::runLateCopies();
  const size_t bytes = memory().allocations.at(pointer);
  std::memset(pointer, 0xFF, bytes);  // whoever reads on gets nonsense
  asm volatile("" : : "r"(pointer) : "memory");
  memory().used -= bytes;
  memory().allocations.erase(pointer);
  std::free(pointer);
}
void* allocatePinned(size_t bytes) {
  auto* pointer = static_cast<char*>(std::malloc(bytes));
  memory().pinned[pointer] = bytes;
  return pointer;
}
void releasePinned(void* pointer) noexcept {
  auto* begin = static_cast<char*>(pointer);
  emulation::refuseBeforeCopies(begin, memory().pinned.at(begin));  // throwing here ends the process
  memory().pinned.erase(begin);
  std::free(pointer);
}

void copyToDevice(Stream, void* destination, const void* source, size_t bytes) {
  refuseWhileRecording("copyToDevice");
  emulation::runLateCopies();
  std::memcpy(destination, source, bytes);
}
// The copy runs when the stream is waited for or the next thing is queued.
void copyToDeviceLater(Stream, void* destination, const void* pinned, size_t bytes) {
  refuseWhileRecording("copyToDeviceLater");
  const auto* begin = static_cast<const unsigned char*>(pinned);
  memory().late.push_back({destination, pinned, {begin, begin + bytes}});
}
void copyToHost(Stream, void* destination, const void* source, size_t bytes) {
  refuseWhileRecording("copyToHost");
  emulation::runLateCopies();
  std::memcpy(destination, source, bytes);
}
void copyOnDevice(Stream, void* destination, const void* source, size_t bytes) {
  emulation::submit([=] {
    emulation::runLateCopies();
    std::memmove(destination, source, bytes);
  });
}
void zeroDevice(Stream, void* destination, size_t bytes) {
  emulation::submit([=] {
    emulation::runLateCopies();
    std::memset(destination, 0, bytes);
  });
}

void DestroyGraph::operator()(CUgraphExec_st* graph) const noexcept {
  delete graph;
  --memory().graphs;
}

void beginCapture(Stream) {
  refuseWhileRecording("beginCapture");
  memory().recording = std::make_unique<CUgraphExec_st>();
  emulation::setKeep([](std::function<void()> work) { memory().recording->work.push_back(std::move(work)); });
}
Graph endCapture(Stream) {
  emulation::setKeep(nullptr);
  ++memory().graphs;
  return Graph(memory().recording.release());
}
void abandonCapture(Stream) noexcept {
  emulation::setKeep(nullptr);
  memory().recording.reset();
}
void launchGraph(Stream, const Graph& graph) {
  refuseWhileRecording("launchGraph");
  ++memory().graphLaunches;
  for (const auto& work : graph->work) work();
}

DeviceMemory deviceMemory() { return {memory().limit - memory().used, memory().limit}; }

// A mark covers the late copies that were queued when it was set.
Mark::~Mark() { delete static_cast<emulation::Point*>(event_); }
void Mark::set(Stream) {
  refuseWhileRecording("Mark::set");
  if (!event_) event_ = new emulation::Point;
  static_cast<emulation::Point*>(event_)->copies = memory().ran + memory().late.size();
}
void Mark::wait() {
  refuseWhileRecording("Mark::wait");
  if (!event_) return;
  const uint64_t copies = static_cast<const emulation::Point*>(event_)->copies;
  if (copies > memory().ran) emulation::runFirstLateCopies(static_cast<size_t>(copies - memory().ran));
}

}  // namespace hdpo::cuda
