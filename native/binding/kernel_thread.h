// The thread that runs the public kernels of one environment (the main thread or a worker), in the order of
// the calls and off the event loop. It starts with the first call.
//
// Lifetimes. Work reads memory of its own and writes the arrays of `outputs`, which are held until the promise
// is settled. When the environment ends, the running kernel is finished, the queued ones are dropped and the thread is
// joined.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <unordered_map>

#include "binding/completion_queue.h"
#include "binding/napi.h"
#include "binding/output_arrays.h"
#include "core/engine_thread.h"
#include "ops/device.h"

namespace hdpo {

class KernelThread {
 public:
  using Work = std::function<void(Backend&)>;
  using Convert = std::function<Napi::Value(Napi::Env, Napi::Object result)>;

  explicit KernelThread(Napi::Env env);
  ~KernelThread();
  KernelThread(const KernelThread&) = delete;
  KernelThread& operator=(const KernelThread&) = delete;

  // Runs work(the device's backend) on the thread, then resolves the promise to convert(env, an object with the
  // outputs) on the JS thread. The promise rejects with ERR_DEVICE where there is no such device.
  Napi::Value run(Napi::Env env, Device device, std::unique_ptr<OutputArrays> outputs, Work work,
                  Convert convert);

 private:
  Backend& backend(Device device);  // kernel thread
  static void onEnvironmentEnd(void* self);

  napi_env env_;
  CompletionQueue completions_;
  // Used by the JS thread alone, as references must be: the kernel thread knows its work by number.
  std::unordered_map<uint64_t, std::unique_ptr<OutputArrays>> outputs_;
  uint64_t next_ = 0;
  bool ended_ = false;                                // JS thread
  std::array<std::unique_ptr<Backend>, 3> backends_;  // kernel thread; by Device, made when first asked for
  std::unique_ptr<EngineThread> thread_;
};

}  // namespace hdpo
