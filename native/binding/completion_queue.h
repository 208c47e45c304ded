// Carries finished work from an engine's thread to the JS thread. It keeps the event loop alive exactly while
// a promise is outstanding.
#pragma once

#include <functional>
#include <memory>

#include "binding/napi.h"

namespace hdpo {

class CompletionQueue {
 public:
  using Callback = std::function<void(Napi::Env)>;

  explicit CompletionQueue(Napi::Env env);  // JS thread
  ~CompletionQueue();                       // JS thread, after the engine thread has been joined
  CompletionQueue(const CompletionQueue&) = delete;
  CompletionQueue& operator=(const CompletionQueue&) = delete;

  void expect(Napi::Env env);  // JS thread: one more promise is outstanding
  // Engine thread: runs `callback` on the JS thread and settles one expected promise.
  void settle(Callback callback);

 private:
  void finish(Napi::Env env);
  void release();
  static void onEnvironmentEnd(void* self);

  napi_env env_;
  Napi::ThreadSafeFunction function_;
  bool released_ = false;    // used by the JS thread alone
  int64_t outstanding_ = 0;  // used by the JS thread alone
};

}  // namespace hdpo
