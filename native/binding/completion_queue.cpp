#include "binding/completion_queue.h"

#include <utility>

namespace hdpo {

CompletionQueue::CompletionQueue(Napi::Env env)
    : function_(Napi::ThreadSafeFunction::New(env, Napi::Function(), "hdpo engine", 0, 1)) {
  function_.Unref(env);
}

CompletionQueue::~CompletionQueue() { function_.Release(); }

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
    // A null environment: the process or worker is ending and nobody waits any more.
    if (static_cast<napi_env>(env) == nullptr) return;
    Napi::HandleScope scope(env);
    (*owned)(env);
  });
  if (status != napi_ok) delete data;
}

}  // namespace hdpo
