// The thread that runs all native work of one engine, in submission order. Between tasks it runs `idleWork`
// (generation steps), so that sequences submitted while a step runs join the next one. Optimiser steps and
// generation never overlap.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace hdpo {

class EngineThread {
 public:
  // idleWork returns true when it did something and wants to be called again. Tasks and idleWork must not
  // throw.
  explicit EngineThread(std::function<bool()> idleWork);
  // Finishes the running task, drops the queued ones and joins the thread.
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  void submit(std::function<void()> task);

 private:
  void loop();

  std::function<bool()> idleWork_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::thread thread_;  // declared last, so that it starts when all else is ready
};

}  // namespace hdpo
