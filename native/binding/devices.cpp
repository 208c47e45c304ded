// The devices that a build finds on this machine, and the self-test of its ops: what `hdpo doctor` shows.
#include <memory>
#include <string>

#include "binding/arguments.h"
#include "binding/kernel_thread.h"
#include "core/error.h"
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
  if (status.built) result.Set("graphs", status.graphs);
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

Napi::Object toJs(Napi::Env env, const self_test::Ceilings& given);

Napi::Value toJs(Napi::Env env, const Report& report, bool timed) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("device", report.device);
  Napi::Array ops = Napi::Array::New(env, report.ops.size());
  for (size_t i = 0; i < report.ops.size(); ++i) ops.Set(static_cast<uint32_t>(i), toJs(env, report.ops[i]));
  result.Set("ops", ops);
  if (!timed) return result;
  result.Set("ceilings", toJs(env, report.ceilings));
  return result;
}

bool wantsCuda(const Napi::Value& value) {
  const std::string device = parseString(value, "device");
  if (device != "cpu" && device != "cuda")
    throwRange(value.Env(), "device must be 'cpu' or 'cuda', got '" + device + "'");
  return device == "cuda";
}

Napi::Object toJs(Napi::Env env, const self_test::Ceilings& given) {
  Napi::Object ceilings = Napi::Object::New(env);
  ceilings.Set("copyBytesPerSecond", given.copyBytesPerSecond);
  ceilings.Set("float32FlopsPerSecond", given.float32FlopsPerSecond);
  ceilings.Set("bfloat16FlopsPerSecond", given.bfloat16FlopsPerSecond);
  return ceilings;
}

self_test::CaseShape parseShape(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "shape");
  const auto size = [&object](const char* name) { return parseInteger(object, name, 1, int64_t{1} << 30); };
  self_test::CaseShape shape;
  shape.tokens = size("shape.tokens");
  shape.sequences = size("shape.sequences");
  shape.hidden = size("shape.hidden");
  shape.feedForward = size("shape.feedForward");
  shape.heads = size("shape.heads");
  shape.kvHeads = size("shape.kvHeads");
  shape.headDim = size("shape.headDim");
  shape.vocabSize = size("shape.vocabSize");
  if (shape.sequences > shape.tokens) throwRange(value.Env(), "shape.sequences must be at most shape.tokens");
  if (shape.vocabSize < 2) throwRange(value.Env(), "shape.vocabSize must be at least 2");
  return shape;
}

// (device, timed): 'cpu' is compared with plain loops in float64, and 'cuda' with the CPU's kernels.
Napi::Value selfTest(KernelThread& thread, const Napi::CallbackInfo& info) {
  const bool timed = info[1].ToBoolean(), cuda = wantsCuda(info[0]);
  const auto report = std::make_shared<Report>();
  return thread.run(
      info.Env(), Device::Cpu, std::make_unique<OutputArrays>(info.Env()),
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

// What `hdpo doctor` always has the time for: the rules of HDPO on the CPU.
Napi::Value checkRules(KernelThread& thread, const Napi::CallbackInfo& info) {
  const auto report = std::make_shared<Report>();
  return thread.run(
      info.Env(), Device::Cpu, std::make_unique<OutputArrays>(info.Env()),
      [report](Backend& cpu) {
        *report = {cpu.name(), {}, self_test::checkHdpo(cpu)};
      },
      [report](Napi::Env env, Napi::Object) { return toJs(env, *report, false); });
}

// (device, name, shape): times one row of the self-test table at a shape of the caller's, beside the ceilings
// that are measured there.
Napi::Value measureOp(KernelThread& thread, const Napi::CallbackInfo& info) {
  const bool cuda = wantsCuda(info[0]);
  const std::string name = parseString(info[1], "name");
  const self_test::CaseShape shape = parseShape(info[2]);
  const auto result = std::make_shared<OpResult>();
  const auto ceilings = std::make_shared<self_test::Ceilings>();
  return thread.run(
      info.Env(), Device::Cpu, std::make_unique<OutputArrays>(info.Env()),
      [=](Backend& cpu) {
        const std::unique_ptr<Backend> device = cuda ? createCudaBackend() : nullptr;
        Backend& measured = device ? *device : cpu;
        for (const self_test::OpRow& row : self_test::opTable(measured)) {
          if (name != row.name) continue;
          result->name = name;
          *ceilings = self_test::measureCeilings(measured, self_test::timedShape(measured));
          return self_test::timeOp(row, shape, measured, *ceilings, *result);
        }
        throw Error("ERR_ARGUMENT", "the self-test has no row '" + name + "'");
      },
      [result, ceilings](Napi::Env env, Napi::Object) {
        Napi::Object row = toJs(env, *result);
        row.Set("ceilings", toJs(env, *ceilings));
        return Napi::Value(row);
      });
}

// (outputs, inputs, precision): the bytes of a weight that generation has packed for this machine's CPU. The
// layout follows the build's instruction set.
Napi::Value packedBytesOf(const Napi::CallbackInfo& info) {
  const auto size = [&info](size_t index, const char* name) {
    const int64_t value = info[index].IsNumber() ? info[index].As<Napi::Number>().Int64Value() : 0;
    if (value < 1 || value > int64_t{1} << 30)
      throwRange(info.Env(), std::string(name) + " must be 1 to 2^30");
    return value;
  };
  const int64_t outputs = size(0, "outputs"), inputs = size(1, "inputs");
  const PackedFormat format = parsePackedFormat(info[2], "precision");
  const size_t bytes = packedBytesOnCpu({.rows = outputs, .columns = inputs}, format);
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

}  // namespace

void exportDevices(Napi::Env env, Napi::Object exports) {
  const auto thread = std::make_shared<KernelThread>(env);
  exports.Set("adaptThreadWaiting",
              Napi::Function::New(
                  env, [](const Napi::CallbackInfo&) { adaptThreadWaiting(); }, "adaptThreadWaiting"));
  exports.Set("packedBytes", Napi::Function::New(env, packedBytesOf, "packedBytes"));
  exports.Set("cudaStatus", Napi::Function::New(env, cudaStatusOf, "cudaStatus"));
  exports.Set(
      "selfTest",
      Napi::Function::New(
          env, [thread](const Napi::CallbackInfo& info) { return selfTest(*thread, info); }, "selfTest"));
  exports.Set(
      "checkRules",
      Napi::Function::New(
          env, [thread](const Napi::CallbackInfo& info) { return checkRules(*thread, info); }, "checkRules"));
  exports.Set(
      "measureOp",
      Napi::Function::New(
          env, [thread](const Napi::CallbackInfo& info) { return measureOp(*thread, info); }, "measureOp"));
}

}  // namespace hdpo
