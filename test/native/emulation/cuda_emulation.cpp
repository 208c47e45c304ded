#include "cuda_emulation.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <exception>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace hdpo::emulation {

Indices indices;
dim3 blockSize, gridSize;

namespace {

constexpr size_t kStackBytes = size_t{256} << 10;
constexpr unsigned kMostThreads = 1024;
constexpr size_t kMostSharedBytes = 99 << 10;  // per block, on the GPUs that have least
constexpr size_t kGuardBytes = 4096;
constexpr unsigned char kGuard = 0xA5;

[[noreturn]] void fail(const std::string& message) { throw Error("ERR_EMULATION", message); }

struct PendingCopy {
  void* destination;
  const void* source;
  size_t bytes;
};

enum class State : uint8_t { Ready, AtBarrier, AtExchange, Done };

struct Fiber {
  ucontext_t context;  // used once, to enter the stack
  jmp_buf place;
  bool entered = false;
  State state = State::Done;
  Indices at;
  unsigned number = 0;
  std::vector<std::vector<PendingCopy>> copies;  // by group; the last is still open
};

// The meeting of a warp's lanes: all hand over and all read, and then the slots are free again.
struct Warp {
  unsigned mask = 0, arrived = 0, left = 0;
  unsigned early = 0;  // lanes that have come to their next meeting before this one is over
  alignas(16) unsigned char slots[32 * kLaneBytes];
};

struct Device {
  std::vector<Fiber> fibers = std::vector<Fiber>(kMostThreads);
  std::vector<Warp> warps = std::vector<Warp>(kMostThreads / 32);
  std::vector<unsigned> ready;  // numbers of fibers that can run
  std::vector<unsigned char> shared = std::vector<unsigned char>(kMostSharedBytes + kGuardBytes + 16);
  size_t sharedBytes = 0;
  jmp_buf scheduler;
  Fiber* running = nullptr;
  const std::function<void()>* body = nullptr;
  std::exception_ptr error;
  unsigned threads = 0, atBarrier = 0, done = 0;
  uint64_t random = 1, launches = 0, blocks = 0;
  bool barriersWork = true;
  std::function<void()> beforeLaunch;
  std::function<void(std::function<void()>)> keep;

  uint64_t draw() {  // xorshift64*
    random ^= random >> 12;
    random ^= random << 25;
    random ^= random >> 27;
    return random * 0x2545F4914F6CDD1Dull;
  }
};

Device& theDevice = *new Device;  // never destroyed, because fibers never unwind

Device& device() { return theDevice; }

unsigned char* sharedBegin() {
  const auto address = reinterpret_cast<uintptr_t>(device().shared.data());
  return reinterpret_cast<unsigned char*>((address + 15) / 16 * 16);
}

void toScheduler() {
  Device& d = device();
  if (_setjmp(d.running->place) == 0) _longjmp(d.scheduler, 1);
}

void makeReady(Fiber& fiber) {
  fiber.state = State::Ready;
  device().ready.push_back(fiber.number);
}

void makeLanesReady(unsigned warp, unsigned lanes) {
  for (unsigned l = 0; l < 32; ++l) {
    if (lanes >> l & 1) makeReady(device().fibers[warp * 32 + l]);
  }
}

void releaseBarrierIfComplete() {
  Device& d = device();
  if (d.atBarrier == 0 || d.atBarrier + d.done < d.threads) return;
  d.atBarrier = 0;
  for (unsigned i = 0; i < d.threads; ++i) {
    if (d.fibers[i].state == State::AtBarrier) makeReady(d.fibers[i]);
  }
}

// A fiber runs one thread of each block, one block after the other.
void fiberMain() {
  Device& d = device();
  for (;;) {
    Fiber& self = *d.running;
    try {
      (*d.body)();
      if (!self.copies.empty() && !std::all_of(self.copies.begin(), self.copies.end(),
                                               [](const auto& group) { return group.empty(); })) {
        fail("a thread ended with copies that nobody waited for");
      }
    } catch (...) {
      if (!d.error) d.error = std::current_exception();
    }
    self.copies.clear();
    self.state = State::Done;
    ++d.done;
    releaseBarrierIfComplete();
    toScheduler();
  }
}

void resume(Fiber& fiber) {
  Device& d = device();
  d.running = &fiber;
  indices = fiber.at;
  if (_setjmp(d.scheduler) != 0) return;
  if (fiber.entered) _longjmp(fiber.place, 1);
  fiber.entered = true;
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) fail("no memory for a fiber's stack");
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = stack;
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiberMain, 0);
  setcontext(&fiber.context);
}

void checkGuard() {
  const unsigned char* guard = sharedBegin() + device().sharedBytes;
  if (std::any_of(guard, guard + kGuardBytes, [](unsigned char byte) { return byte != kGuard; })) {
    fail("a kernel wrote beyond its " + std::to_string(device().sharedBytes) + " bytes of shared memory");
  }
}

// Ends threads that wait for what will not come, so that the fibers can be used again.
void abandonBlock() {
  Device& d = device();
  for (Fiber& fiber : d.fibers) {
    if (fiber.state == State::Done) continue;
    fiber.entered = false;  // its stack is left as it is: a failed test leaks memory
    fiber.state = State::Done;
    fiber.copies.clear();
  }
  for (Warp& warp : d.warps) warp.mask = warp.arrived = warp.left = warp.early = 0;
}

void runBlock(dim3 block, const std::vector<unsigned>& order) {
  Device& d = device();
  std::memset(sharedBegin(), 0xFF, d.sharedBytes);
  std::memset(sharedBegin() + d.sharedBytes, kGuard, kGuardBytes);
  d.threads = static_cast<unsigned>(order.size());
  d.atBarrier = d.done = 0;
  d.ready.clear();
  for (const unsigned number : order) {
    Fiber& fiber = d.fibers[number];
    fiber.number = number;
    fiber.at.block = block;
    fiber.at.thread =
        dim3(number % blockSize.x, number / blockSize.x % blockSize.y, number / (blockSize.x * blockSize.y));
    makeReady(fiber);
  }
  while (!d.ready.empty() && !d.error) {
    const size_t pick = (d.draw() >> 32) * d.ready.size() >> 32;
    const unsigned number = d.ready[pick];
    d.ready[pick] = d.ready.back();
    d.ready.pop_back();
    resume(d.fibers[number]);
  }
  if (!d.error && d.done < d.threads) {
    d.error = std::make_exception_ptr(Error(
        "ERR_EMULATION", std::to_string(d.threads - d.done) +
                             " threads wait for a barrier or a warp operation that others never reach"));
  }
  if (d.error) {
    abandonBlock();
    std::rethrow_exception(std::exchange(d.error, nullptr));
  }
  checkGuard();
}

template <typename T>
void shuffleOrder(std::vector<T>& values) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[device().draw() % i]);
}

}  // namespace

void setSeed(uint64_t seed) { device().random = seed * 0x9E3779B97F4A7C15ull | 1; }
void setBarriersWork(bool work) { device().barriersWork = work; }
uint64_t launches() { return device().launches; }
uint64_t blocks() { return device().blocks; }
void* sharedMemory() { return sharedBegin(); }

void setBeforeLaunch(std::function<void()> action) { device().beforeLaunch = std::move(action); }

void setKeep(std::function<void(std::function<void()>)> keep) { device().keep = std::move(keep); }

void submit(std::function<void()> work) {
  if (device().keep) return device().keep(std::move(work));
  work();
}

void runGrid(dim3 grid, dim3 block, size_t sharedBytes, const std::function<void()>& thread) {
  Device& d = device();
  if (d.beforeLaunch) d.beforeLaunch();
  const unsigned threads = block.x * block.y * block.z;
  if (threads == 0 || threads > kMostThreads) fail("a block of " + std::to_string(threads) + " threads");
  if (sharedBytes > kMostSharedBytes) fail(std::to_string(sharedBytes) + " bytes of shared memory");
  if (grid.y > 65535 || grid.z > 65535) fail("a grid of more than 65535 blocks in y or z");
  blockSize = block;
  gridSize = grid;
  d.sharedBytes = sharedBytes;
  d.body = &thread;
  ++d.launches;
  std::vector<uint64_t> blocks(uint64_t{grid.x} * grid.y * grid.z);
  std::iota(blocks.begin(), blocks.end(), uint64_t{0});
  d.blocks += blocks.size();
  shuffleOrder(blocks);
  std::vector<unsigned> order(threads);
  std::iota(order.begin(), order.end(), 0u);
  for (const uint64_t number : blocks) {
    runBlock(dim3(static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
                  static_cast<unsigned>(number / (uint64_t{grid.x} * grid.y))),
             order);
  }
}

void syncThreads() {
  Device& d = device();
  if (!d.barriersWork) return;
  d.running->state = State::AtBarrier;
  ++d.atBarrier;
  releaseBarrierIfComplete();
  toScheduler();
}

void mayYield() {
  Device& d = device();
  if (d.draw() % 4 != 0) return;
  makeReady(*d.running);
  toScheduler();
}

unsigned lane() { return device().running->number % 32; }

const unsigned char* exchange(unsigned mask, const void* value, size_t bytes) {
  Device& d = device();
  Fiber& self = *d.running;
  Warp& warp = d.warps[self.number / 32];
  const unsigned bit = 1u << lane();
  if (!(mask & bit)) fail("a warp operation by a lane that is not in its mask");
  // Wait until everyone has read what was exchanged before.
  while (warp.left != 0) {
    warp.early |= bit;
    self.state = State::AtExchange;
    toScheduler();
  }
  if (warp.arrived == 0) warp.mask = mask;
  if (warp.mask != mask) fail("lanes of one warp operation have different masks");
  std::memcpy(warp.slots + lane() * kLaneBytes, value, bytes);
  warp.arrived |= bit;
  if (warp.arrived == warp.mask) {
    warp.left = warp.mask;
    makeLanesReady(self.number / 32, warp.mask & ~bit);
    return warp.slots;
  }
  self.state = State::AtExchange;
  toScheduler();
  return warp.slots;
}

void endExchange(unsigned) {
  const unsigned number = device().running->number / 32;
  Warp& warp = device().warps[number];
  warp.left &= ~(1u << lane());
  if (warp.left != 0) return;
  warp.arrived = 0;
  makeLanesReady(number, std::exchange(warp.early, 0));
}

void requireAligned(const void* address, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0)
    fail("an access of " + std::to_string(bytes) + " bytes at an address that is no multiple of that");
}

void copyLater(void* destination, const void* source, size_t bytes) {
  requireAligned(destination, bytes);
  requireAligned(source, bytes);
  auto& copies = device().running->copies;
  if (copies.empty()) copies.emplace_back();
  copies.back().push_back({destination, source, bytes});
}

void commitCopies() {
  auto& copies = device().running->copies;
  if (copies.empty()) copies.emplace_back();
  copies.emplace_back();
}

void waitForCopies(int groupsLeft) {
  auto& copies = device().running->copies;
  const auto committed = static_cast<int>(copies.size()) - 1;
  const int ready = std::max(0, committed - groupsLeft);
  for (int group = 0; group < ready; ++group) {
    for (const PendingCopy& copy : copies[static_cast<size_t>(group)]) {
      if (copy.source) {
        std::memcpy(copy.destination, copy.source, copy.bytes);
      } else {
        std::memset(copy.destination, 0, copy.bytes);
      }
    }
  }
  if (ready > 0) copies.erase(copies.begin(), copies.begin() + ready);
}

}  // namespace hdpo::emulation
