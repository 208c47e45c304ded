// What a build finds on this machine, and the self-test of its ops: what `hdpo doctor` shows.
#include <memory>
#include <string>

#include "binding/arguments.h"
#include "binding/kernel_thread.h"
#include "ops/device.h"
#include "self_test/reference_backend.h"
#include "self_test/runner.h"

namespace hdpo {

namespace {

using self_test::OpResult;
using self_test::Outcome;
using self_test::Report;

Napi::Value cudaStatusOf(const Napi::CallbackInfo& info) {
  const CudaStatus status = cudaStatus();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("built", status.built);
  result.Set("usable", status.missing.empty());
  const auto setText = [&result](const char* name, const std::string& text) {
    if (!text.empty()) result.Set(name, text);
  };
  setText("missing", status.missing);
  setText("device", status.device);
  setText("capability", status.capability);
  setText("driver", status.driver);
  setText("runtime", status.runtime);
  setText("cublas", status.cublas);
  if (status.totalBytes > 0) {
    result.Set("totalBytes", static_cast<double>(status.totalBytes));
    result.Set("freeBytes", static_cast<double>(status.freeBytes));
  }
  return result;
}

const char* nameOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::Passed:
      return "passed";
    case Outcome::Failed:
      return "failed";
    case Outcome::NotImplemented:
      return "not-implemented";
  }
  return "failed";
}

Napi::Object toJs(Napi::Env env, const OpResult& op) {
  Napi::Object row = Napi::Object::New(env);
  row.Set("name", op.name);
  row.Set("outcome", nameOf(op.outcome));
  if (!op.reason.empty()) row.Set("reason", op.reason);
  row.Set("error", op.error);
  row.Set("allowed", op.allowed);
  if (op.seconds == 0) return row;
  row.Set("shape", op.shape);
  row.Set("seconds", op.seconds);
  row.Set("bytesPerSecond", op.bytesPerSecond);
  row.Set("flopsPerSecond", op.flopsPerSecond);
  row.Set("shareOfCeiling", op.shareOfCeiling);
  return row;
}

Napi::Value toJs(Napi::Env env, const Report& report, bool timed) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("device", report.device);
  Napi::Array ops = Napi::Array::New(env, report.ops.size());
  for (size_t i = 0; i < report.ops.size(); ++i) ops.Set(static_cast<uint32_t>(i), toJs(env, report.ops[i]));
  result.Set("ops", ops);
  if (!timed) return result;
  Napi::Object ceilings = Napi::Object::New(env);
  ceilings.Set("copyBytesPerSecond", report.ceilings.copyBytesPerSecond);
  ceilings.Set("float32FlopsPerSecond", report.ceilings.float32FlopsPerSecond);
  ceilings.Set("bfloat16FlopsPerSecond", report.ceilings.bfloat16FlopsPerSecond);
  result.Set("ceilings", ceilings);
  return result;
}

// (device, timed): 'cpu' is compared with plain loops in float64, 'cuda' with the CPU's kernels.
Napi::Value selfTest(KernelThread& thread, const Napi::CallbackInfo& info) {
  const std::string device = parseString(info[0], "device");
  if (device != "cpu" && device != "cuda")
    throwRange(info.Env(), "device must be 'cpu' or 'cuda', got '" + device + "'");
  const bool timed = info[1].ToBoolean(), cuda = device == "cuda";
  const auto report = std::make_shared<Report>();
  return thread.run(
      info.Env(), Napi::Object::New(info.Env()),
      [report, timed, cuda](Backend& cpu) {
        if (cuda) {
          const std::unique_ptr<Backend> tested = createCudaBackend();
          *report = self_test::run(*tested, cpu, timed);
        } else {
          ReferenceBackend reference;
          *report = self_test::run(cpu, reference, timed);
        }
      },
      [report, timed](Napi::Env env, Napi::Object) { return toJs(env, *report, timed); });
}

}  // namespace

void exportDevices(Napi::Env env, Napi::Object exports) {
  const auto thread = std::make_shared<KernelThread>(env);
  exports.Set("cudaStatus", Napi::Function::New(env, cudaStatusOf, "cudaStatus"));
  exports.Set(
      "selfTest",
      Napi::Function::New(
          env, [thread](const Napi::CallbackInfo& info) { return selfTest(*thread, info); }, "selfTest"));
}

}  // namespace hdpo
