// Entry point of the addon: what `require('hdpo.node')` returns.
#include <dnnl.h>

#include <string>

#include "binding/arguments.h"
#include "binding/environment_end.h"
#include "binding/napi.h"
#include "io/exchange_paths.h"
#include "ops/device.h"

namespace hdpo {

Napi::Object exportKernels(Napi::Env env);
Napi::Function exportEngine(Napi::Env env);
void exportDevices(Napi::Env env, Napi::Object exports);

namespace {

#ifndef HDPO_INSTRUCTION_SET
#define HDPO_INSTRUCTION_SET "unknown"
#endif

Napi::Value buildInfo(const Napi::CallbackInfo& info) {
  const dnnl_version_t* version = dnnl_version();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("compiler", __VERSION__);
  result.Set("instructionSet", HDPO_INSTRUCTION_SET);
  result.Set("onednn", std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
                           std::to_string(version->patch));
  result.Set("cuda", builtWithCuda());
  return result;
}

// (a, b): whether the system could exchange them.
Napi::Value exchange(const Napi::CallbackInfo& info) {
  const std::string a = parseString(info[0], "a"), b = parseString(info[1], "b");
  try {
    return Napi::Boolean::New(info.Env(), exchangePaths(a, b));
  } catch (...) {
    throw toJsError(info.Env(), std::current_exception());
  }
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  stayLoaded();
  exports.Set("kernels", exportKernels(env));
  exports.Set("Engine", exportEngine(env));
  exportDevices(env, exports);
  exports.Set("exchangePaths", Napi::Function::New(env, exchange, "exchangePaths"));
  exports.Set("buildInfo", Napi::Function::New(env, buildInfo, "buildInfo"));
  return exports;
}

}  // namespace
}  // namespace hdpo

// NODE_API_MODULE makes names out of the function's name, so the function stands in no namespace.
static Napi::Object initializeAddon(Napi::Env env, Napi::Object exports) {
  return hdpo::initialize(env, exports);
}

NODE_API_MODULE(hdpo, initializeAddon)
