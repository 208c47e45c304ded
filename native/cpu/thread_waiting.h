// How OpenMP's threads wait for the next op: they spin while the machine has cores to spare, and sleep while
// anything else waits for one.
//
// A spinning thread takes up the next op at once. Waking a sleeping one takes 30 to 60 microseconds in a
// virtual machine, which makes small models 1.2 to 1.4 times slower. But a thread that spins while others
// wait for its core holds them up, and in the end itself: a busy machine becomes ten times slower.
//
// GNU OpenMP takes the number of turns to spin from GOMP_SPINCOUNT, once, when it is loaded. It also has a
// rule of its own: while its pools together have more threads than there are cores, they sleep almost at
// once. A further pool whose threads do nothing brings that rule into force; ending that pool lifts it again.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace hdpo {

class ThreadWaiting {
 public:
  // There is one per process, because OpenMP's threads belong to the process. It ends with its last holder.
  // Null before adaptThreadWaiting (ops/device.h).
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

// Whether more of the machine's threads want to run than it has cores for, by the 4th field of /proc/loadavg
// less the reader itself.
bool isCrowded(const char* loadAverage, int cores);

// A running share of crowded samples, in which the newest weigh most. Threads sleep once a third were
// crowded, and spin again once hardly any was.
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
