#include "binding/environment_end.h"

#include <utility>
#include <vector>

namespace hdpo {

namespace {

// The addon's instance data in one environment.
struct Registrations {
  std::vector<std::pair<StopFunction, void*>> all;
};

Registrations& registrations(Napi::Env env) { return *env.GetInstanceData<Registrations>(); }

// The process 'exit' event comes before anything of the process is torn down. The cleanup hooks are removed
// as well, because objects that have stopped may be collected before the hooks would run.
void onExit(const Napi::CallbackInfo& info) {
  auto& all = registrations(info.Env()).all;
  while (!all.empty()) {
    const auto [stop, argument] = all.back();
    all.pop_back();
    napi_remove_env_cleanup_hook(info.Env(), stop, argument);
    stop(argument);
  }
}

}  // namespace

void listenForEnvironmentEnd(Napi::Env env) {
  env.SetInstanceData(new Registrations());
  const Napi::Object process = env.Global().Get("process").As<Napi::Object>();
  process.Get("once").As<Napi::Function>().Call(
      process, {Napi::String::New(env, "exit"), Napi::Function::New(env, onExit, "hdpoExit")});
}

void stopAtEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument) {
  registrations(env).all.emplace_back(stop, argument);
  napi_add_env_cleanup_hook(env, stop, argument);
}

void forgetEnvironmentEnd(Napi::Env env, StopFunction stop, void* argument) {
  std::erase(registrations(env).all, std::pair(stop, argument));
  napi_remove_env_cleanup_hook(env, stop, argument);
}

}  // namespace hdpo
