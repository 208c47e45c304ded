#include "cpu/thread_waiting.h"

#include <omp.h>
#if defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "cpu/parallel.h"
#include "ops/device.h"

namespace hdpo {

std::atomic<bool> threadsSpin{false};

namespace {

std::atomic<bool> adapting{false};

// Seconds between samples: kShortest while the process is active, and ever longer, up to kLongest, while it
// does nothing, so that watching it costs next to nothing.
constexpr double kShortest = 0.02, kLongest = 1;
// Share of a core: a process that uses less has no ops whose threads could wait.
constexpr double kActive = 0.05;

// A pool of OpenMP threads that does nothing (thread_waiting.h says what it is for).
class IdlePool {
 public:
  IdlePool() : thread_([this] { run(); }) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ready_; });
  }
  ~IdlePool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void run() {
    std::atomic<int> members{0};
#pragma omp parallel num_threads(omp_get_num_procs())
    members.fetch_add(1, std::memory_order_relaxed);
    std::unique_lock<std::mutex> lock(mutex_);
    ready_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return stopping_; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool ready_ = false, stopping_ = false;
  std::thread thread_;
};

#if defined(__linux__)

// The machine's cores, or 0 where the machine's load does not tell whether this process has cores to spare,
// because it may use only a part of the cores or of their time.
int comparableCores() {
  const int cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (omp_get_num_procs() < cores) return 0;
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    double quota = 0, period = 0;  // "max 100000" where there is none
    const int read = std::fscanf(file, "%lf %lf", &quota, &period);
    std::fclose(file);
    if (read == 2 && quota < cores * period) return 0;
  }
  return cores;
}

bool readLoadAverage(char (&text)[128]) {
  std::FILE* file = std::fopen("/proc/loadavg", "r");
  if (!file) return false;
  const size_t length = std::fread(text, 1, sizeof(text) - 1, file);
  std::fclose(file);
  text[length] = 0;
  return length > 0;
}

#else

int comparableCores() { return 0; }
bool readLoadAverage(char (&)[128]) { return false; }

#endif

double processorSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

bool isCrowded(const char* loadAverage, int cores) {
  int running = 0;
  return std::sscanf(loadAverage, "%*f %*f %*f %d/", &running) == 1 && running - 1 > cores;
}

void adaptThreadWaiting() { adapting = true; }

std::shared_ptr<ThreadWaiting> ThreadWaiting::ofProcess() {
  static std::mutex mutex;
  static std::weak_ptr<ThreadWaiting> shared;
  if (!adapting) return nullptr;
  std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<ThreadWaiting> waiting = shared.lock();
  if (!waiting) shared = waiting = std::make_shared<ThreadWaiting>();
  return waiting;
}

ThreadWaiting::ThreadWaiting() : watcher_([this] { watch(); }) {}

ThreadWaiting::~ThreadWaiting() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  watcher_.join();
}

bool ThreadWaiting::stopped(double seconds) {
  std::unique_lock<std::mutex> lock(mutex_);
  return wake_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return stopping_; });
}

void ThreadWaiting::watch() {
  // A watcher begins with what the last one has seen, which may still be ending.
  static std::mutex watching;
  static Crowding crowding;
  std::lock_guard<std::mutex> lock(watching);
  std::unique_ptr<IdlePool> pool;
  const auto apply = [&pool](bool asleep) {
    threadsSpin = !asleep;
    if (asleep && !pool) pool = std::make_unique<IdlePool>();
    if (!asleep) pool.reset();
  };
  const int cores = comparableCores();
  apply(cores == 0 || crowding.asleep());
  double interval = kShortest, used = processorSeconds();
  char text[128];
  while (!stopped(interval)) {
    if (cores == 0 || !readLoadAverage(text)) {
      apply(true);  // nothing tells whether cores are free
      interval = kLongest * 3600;
      continue;
    }
    const double now = processorSeconds(), busy = (now - used) / interval;
    used = now;
    interval = busy > kActive ? kShortest : std::min(2 * interval, kLongest);
    crowding.add(isCrowded(text, cores));
    apply(crowding.asleep());
  }
  threadsSpin = false;
}

}  // namespace hdpo
