#include "binding/completion_queue.h"

#include <utility>

namespace hdpo {

CompletionQueue::CompletionQueue(Napi::Env env)
    : env_(env), function_(Napi::ThreadSafeFunction::New(env, Napi::Function(), "hdpo engine", 0, 1)) {
  function_.Unref(env);
  // When the environment ends, it frees the function before it runs the finalizers of JS objects, which may
  // own this queue. Hooks run in reverse order: this one runs before the function's own, and after those that
  // join threads.
  napi_add_env_cleanup_hook(env, &CompletionQueue::onEnvironmentEnd, this);
}

CompletionQueue::~CompletionQueue() {
  if (released_) return;
  napi_remove_env_cleanup_hook(env_, &CompletionQueue::onEnvironmentEnd, this);
  release();
}

void CompletionQueue::onEnvironmentEnd(void* self) { static_cast<CompletionQueue*>(self)->release(); }

void CompletionQueue::release() {
  released_ = true;
  function_.Release();
}

void CompletionQueue::expect(Napi::Env env) {
  if (outstanding_++ == 0) function_.Ref(env);
}

void CompletionQueue::finish(Napi::Env env) {
  if (--outstanding_ == 0) function_.Unref(env);
}

void CompletionQueue::settle(Callback callback) {
  auto* data = new Callback([this, callback = std::move(callback)](Napi::Env env) {
    finish(env);
    callback(env);
  });
  const napi_status status = function_.BlockingCall(data, [](Napi::Env env, Napi::Function, Callback* run) {
    std::unique_ptr<Callback> owned(run);
    // A null environment means that the process or worker is ending and nobody waits any more.
    if (static_cast<napi_env>(env) == nullptr) return;
    Napi::HandleScope scope(env);
    try {
      (*owned)(env);
    } catch (const Napi::Error&) {
      // Settling a promise fails in a worker that is being terminated, and nobody waits there either.
    }
  });
  if (status != napi_ok) delete data;
}

}  // namespace hdpo
