// The thread that runs the public kernels of one environment (the main thread or a worker), in the order of
// the calls and off the event loop. It starts with the first call.
//
// Lifetimes. Work reads and writes JS memory in place: `kept` holds the arrays until the promise is settled.
// When the environment ends, the running kernel is finished, the queued ones are dropped and the thread is
// joined.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <unordered_map>

#include "binding/completion_queue.h"
#include "binding/napi.h"
#include "core/engine_thread.h"
#include "ops/device.h"

namespace hdpo {

class KernelThread {
 public:
  using Work = std::function<void(Backend&)>;
  using Convert = std::function<Napi::Value(Napi::Env, Napi::Object kept)>;

  explicit KernelThread(Napi::Env env);
  ~KernelThread();
  KernelThread(const KernelThread&) = delete;
  KernelThread& operator=(const KernelThread&) = delete;

  // Runs work(the device's backend) on the thread, then resolves the promise to convert(env, kept) on the JS
  // thread. The promise rejects with ERR_DEVICE where there is no such device.
  Napi::Value run(Napi::Env env, Device device, Napi::Object kept, Work work, Convert convert);

 private:
  Backend& backend(Device device);  // kernel thread
  static void onEnvironmentEnd(void* self);

  napi_env env_;
  CompletionQueue completions_;
  // Used by the JS thread alone, as references must be: the kernel thread knows its work by number.
  std::unordered_map<uint64_t, Napi::ObjectReference> kept_;
  uint64_t next_ = 0;
  bool ended_ = false;                                // JS thread
  std::array<std::unique_ptr<Backend>, 3> backends_;  // kernel thread; by Device, made when first asked for
  std::unique_ptr<EngineThread> thread_;
};

}  // namespace hdpo
