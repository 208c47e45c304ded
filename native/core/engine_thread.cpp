#include "core/engine_thread.h"

#include <utility>

namespace hdpo {

EngineThread::EngineThread(std::function<bool()> idleWork)
    : idleWork_(std::move(idleWork)), thread_([this] { loop(); }) {}

EngineThread::~EngineThread() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void EngineThread::submit(std::function<void()> task) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void EngineThread::loop() {
  bool idleWorkPending = false;
  for (;;) {
    std::function<void()> task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (!idleWorkPending) wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (stopping_) return;
      if (!tasks_.empty()) {
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
    }
    if (task) {
      task();
      idleWorkPending = true;  // the task may have brought work, so the queue is looked at again first
    } else {
      idleWorkPending = idleWork_();
    }
  }
}

}  // namespace hdpo
