// How OpenMP's threads wait for the next op: spinning while the machine has cores to spare, asleep while
// anything else waits for one.
//
// A thread that spins takes the next op up at once; waking one that sleeps takes 30 to 60 microseconds in a
// virtual machine, which makes small models 1.2 to 1.4 times slower. But what spins while others wait for its
// core holds them up, and itself: a busy machine becomes ten times slower.
//
// GNU OpenMP takes the number of turns from GOMP_SPINCOUNT, once, when it is loaded. It has a rule of its
// own, though: while its pools together have more threads than there are cores they sleep almost at once. A
// pool beside the others, of a thread that does nothing, brings the rule into force, and ending it lifts it
// again.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace hdpo {

class ThreadWaiting {
 public:
  // Of this process, as OpenMP's threads are; ends with the last that holds it. Null before
  // adaptThreadWaiting (ops/device.h).
  static std::shared_ptr<ThreadWaiting> ofProcess();

  ThreadWaiting();
  ~ThreadWaiting();
  ThreadWaiting(const ThreadWaiting&) = delete;
  ThreadWaiting& operator=(const ThreadWaiting&) = delete;

 private:
  void watch();
  bool stopped(double seconds);

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread watcher_;
};

// Whether more of the machine's threads want to run than it has cores for: the 4th field of /proc/loadavg,
// the reader itself not counted.
bool isCrowded(const char* loadAverage, int cores);

// Whether a share of the samples, newest weighing most, was crowded: from a third on threads sleep, and spin
// again once hardly any was.
class Crowding {
 public:
  void add(bool crowded) {
    constexpr double kWeight = 0.1, kSleep = 0.3, kSpin = 0.1;
    share_ += kWeight * ((crowded ? 1 : 0) - share_);
    if (share_ > kSleep) asleep_ = true;
    if (share_ < kSpin) asleep_ = false;
  }
  // Whether threads should sleep.
  bool asleep() const { return asleep_; }

 private:
  double share_ = 0.3;  // asleep until some samples have shown that nobody is held up
  bool asleep_ = true;
};

}  // namespace hdpo
