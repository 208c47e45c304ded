#include "binding/kernel_thread.h"

#include <utility>

#include "binding/arguments.h"
#include "binding/environment_end.h"
#include "core/error.h"

namespace hdpo {

KernelThread::KernelThread(Napi::Env env) : env_(env), completions_(env) {
  stopAtEnvironmentEnd(env_, &KernelThread::onEnvironmentEnd, this);
}

KernelThread::~KernelThread() {
  if (!ended_) forgetEnvironmentEnd(env_, &KernelThread::onEnvironmentEnd, this);
}

void KernelThread::onEnvironmentEnd(void* self) {
  static_cast<KernelThread*>(self)->ended_ = true;
  static_cast<KernelThread*>(self)->thread_.reset();
  static_cast<KernelThread*>(self)->backends_ = {};  // a GPU's backend goes while its driver is still there
}

// The backend is made on the thread that uses it, because OpenMP's number of threads belongs to the calling
// thread.
Backend& KernelThread::backend(Device device) {
  std::unique_ptr<Backend>& made = backends_[static_cast<size_t>(device)];
  if (!made) made = createBackend(device, 0);
  return *made;
}

Napi::Value KernelThread::run(Napi::Env env, Device device, std::unique_ptr<OutputArrays> outputs, Work work,
                              Convert convert) {
  if (ended_) throw toJsError(env, std::make_exception_ptr(Error("ERR_CLOSED", "the process is ending")));
  if (!thread_) thread_ = std::make_unique<EngineThread>([] { return false; });
  const auto deferred = Napi::Promise::Deferred::New(env);
  const uint64_t number = next_++;
  outputs_[number] = std::move(outputs);
  completions_.expect(env);
  thread_->submit([this, deferred, device, number, work = std::move(work), convert = std::move(convert)] {
    std::exception_ptr error;
    try {
      work(backend(device));
    } catch (...) {
      error = std::current_exception();
    }
    completions_.settle([this, deferred, number, error, convert](Napi::Env scope) {
      const std::unique_ptr<OutputArrays> held = std::move(outputs_.extract(number).mapped());
      if (error) return deferred.Reject(toJsError(scope, error).Value());
      try {
        deferred.Resolve(convert(scope, held->take()));
      } catch (const Napi::Error& thrown) {
        deferred.Reject(thrown.Value());
      }
    });
  });
  return deferred.Promise();
}

}  // namespace hdpo
