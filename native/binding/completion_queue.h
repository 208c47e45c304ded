// Carries finished work from an engine's thread to the JS thread. Keeps the event loop alive exactly while a
// promise is outstanding.
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

  void expect(Napi::Env env);  // JS thread: one more promise is outstanding
  // Engine thread: runs `callback` on the JS thread; settles one expected promise.
  void settle(Callback callback);

 private:
  void finish(Napi::Env env);

  Napi::ThreadSafeFunction function_;
  int64_t outstanding_ = 0;  // JS thread alone
};

}  // namespace hdpo
