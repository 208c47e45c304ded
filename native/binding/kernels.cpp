// The public kernels, which lib/native/kernels.ts calls. Large float arrays are read in place, and results
// are written straight into the JS arrays that the promise resolves to. Whatever indexes memory (targets,
// masks, lengths) is copied and checked first.
#include <memory>
#include <utility>

#include "binding/arguments.h"
#include "binding/kernel_thread.h"
#include "core/error.h"
#include "ops/linear_policy_loss.h"

namespace hdpo {

namespace {

// The arrays of a call: those that it reads, which are kept alive, and those that it makes.
class Arrays {
 public:
  explicit Arrays(Napi::Env env) : kept_(Napi::Object::New(env)), result_(Napi::Object::New(env)) {
    kept_.Set("result", result_);
  }
  template <class Element>
  const Element* input(const Napi::Object& call, const char* name, size_t length) {
    const auto array = requireTypedArray<Element>(call.Get(name), name, length);
    kept_.Set(name, array);
    return array.Data();
  }
  // An output that begins as zeros.
  float* output(const char* name, size_t length) {
    return addOutput(name, Napi::Float32Array::New(kept_.Env(), length));
  }
  // An output for kernels that write every element, so that the JS thread need not clear it.
  float* outputToFill(const char* name, size_t length) {
    if (length == 0) return output(name, length);
    const auto memory = Napi::Buffer<float>::New(kept_.Env(), length);
    return addOutput(name,
                     Napi::Float32Array::New(kept_.Env(), length, memory.ArrayBuffer(), memory.ByteOffset()));
  }
  Napi::Object kept() const { return kept_; }

 private:
  float* addOutput(const char* name, Napi::Float32Array array) {
    result_.Set(name, array);
    return array.Data();
  }

  Napi::Object kept_, result_;
};

Napi::Object resultOf(Napi::Object kept) { return kept.Get("result").As<Napi::Object>(); }

Napi::Value groupAdvantages(KernelThread& thread, const Napi::CallbackInfo& info) {
  const Napi::Object call = requireObject(info[0], "input");
  Arrays arrays(info.Env());
  GroupAdvantagesInput input;
  const size_t rollouts = requireTypedArray<int32_t>(call.Get("groupIds"), "groupIds").ElementLength();
  input.rollouts = static_cast<int64_t>(rollouts);
  if (input.rollouts > INT32_MAX) throwRange(info.Env(), "groupIds must have at most 2147483647 elements");
  input.groupIds = arrays.input<int32_t>(call, "groupIds", rollouts);
  input.accuracyRewards = arrays.input<float>(call, "accuracyRewards", rollouts);
  input.correct = arrays.input<uint8_t>(call, "correct", rollouts);
  if (call.Has("toolCosts")) {
    input.toolCosts = arrays.input<float>(call, "toolCosts", rollouts);
  } else {
    input.toolCalls = arrays.input<int32_t>(call, "toolCalls", rollouts);
  }
  input.epsilon = parseFloat(call, "epsilon", 0, kAnyFloat);
  input.scaleByStd = parseBoolean(call, "scaleByStd");
  const GroupAdvantagesOutput output{arrays.outputToFill("efficiencyRewards", rollouts),
                                     arrays.outputToFill("accuracyAdvantages", rollouts),
                                     arrays.outputToFill("efficiencyAdvantages", rollouts)};
  return thread.run(
      info.Env(), parseDevice(call.Get("device")), arrays.kept(),
      [input, output](Backend& backend) { backend.groupAdvantages(input, output); },
      [](Napi::Env, Napi::Object kept) { return resultOf(kept); });
}

// The arguments about tokens that both losses take.
struct LossCall {
  std::vector<int32_t> targets;
  std::vector<uint8_t> mask;
  std::vector<TokenTerms> terms;
  PolicyLossOptions options;
  int64_t vocabSize = 0;
  PolicyLossSums sums;
};

std::vector<int32_t> parseSequenceLengths(const Napi::Value& value, size_t tokens) {
  const std::vector<int32_t> lengths = parseArray<int32_t>(value, "sequenceLengths");
  std::vector<int32_t> offsets(lengths.size() + 1);
  int64_t end = 0;
  for (size_t s = 0; s < lengths.size(); ++s) {
    if (lengths[s] < 0) throwRange(value.Env(), "sequenceLengths must not be negative");
    end += lengths[s];
    if (end > static_cast<int64_t>(tokens)) break;
    offsets[s + 1] = static_cast<int32_t>(end);
  }
  if (end != static_cast<int64_t>(tokens)) {
    throwRange(value.Env(),
               "sequenceLengths must add up to the number of targets, " + std::to_string(tokens));
  }
  return offsets;
}

std::shared_ptr<LossCall> parseLossCall(const Napi::Object& given) {
  const Napi::Env env = given.Env();
  auto call = std::make_shared<LossCall>();
  const Napi::Value options = given.Get("options");
  call->options = parsePolicyLossOptions(options);
  call->vocabSize = parseInteger(given, "vocabSize", 1, INT32_MAX);
  call->targets = parseArray<int32_t>(given.Get("targets"), "targets");
  const size_t tokens = call->targets.size();
  if (tokens > INT32_MAX) throwRange(env, "targets must have at most 2147483647 elements");
  for (const int32_t target : call->targets) {
    if (target < 0 || target >= call->vocabSize) throwRange(env, "targets must be less than vocabSize");
  }
  call->mask = parseArray<uint8_t>(given.Get("lossMask"), "lossMask", tokens);
  const std::vector<int32_t> offsets = parseSequenceLengths(given.Get("sequenceLengths"), tokens);
  const size_t sequences = offsets.size() - 1;
  const auto floats = [&given](const char* name, size_t length) {
    return requireTypedArray<float>(given.Get(name), name, length).Data();
  };
  const bool reference = !given.Get("referenceLogprobs").IsUndefined();
  if (!reference && call->options.klCoefficient != 0) {
    throwType(env, "referenceLogprobs must be given when klCoefficient is not 0");
  }
  call->terms =
      policyTerms(parseAggregation(options),
                  {static_cast<int64_t>(sequences), offsets.data(), call->mask.data(),
                   floats("oldLogprobs", tokens), reference ? floats("referenceLogprobs", tokens) : nullptr,
                   floats("accuracyAdvantages", sequences), floats("efficiencyAdvantages", sequences)});
  return call;
}

Napi::Value lossResult(Napi::Object kept, const PolicyLossSums& sums) {
  Napi::Object result = resultOf(kept);
  const auto share = [&sums](int64_t part) {
    return sums.tokens == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(sums.tokens);
  };
  result.Set("loss", sums.loss);
  result.Set("accuracyLoss", sums.accuracyLoss);
  result.Set("efficiencyLoss", sums.efficiencyLoss);
  result.Set("kl", sums.kl);
  result.Set("logprobDifference", sums.logprobDifference);
  result.Set("trainedTokens", static_cast<double>(sums.tokens));
  result.Set("clippedLow", share(sums.clippedLow));
  result.Set("clippedHigh", share(sums.clippedHigh));
  result.Set("dualClipped", share(sums.dualClipped));
  result.Set("workspaceBytes", static_cast<double>(sums.workspaceBytes));
  return result;
}

Napi::Value policyLoss(KernelThread& thread, const Napi::CallbackInfo& info) {
  const Napi::Object given = requireObject(info[0], "input");
  const std::shared_ptr<LossCall> call = parseLossCall(given);
  const size_t tokens = call->targets.size(), values = tokens * static_cast<size_t>(call->vocabSize);
  Arrays arrays(info.Env());
  const float* logits = arrays.input<float>(given, "logits", values);
  const PolicyLossOutput output{
      arrays.outputToFill("logprobs", tokens), arrays.outputToFill("entropy", tokens),
      arrays.outputToFill("gradLogprobs", tokens), arrays.outputToFill("gradLogits", values)};
  return thread.run(
      info.Env(), parseDevice(given.Get("device")), arrays.kept(),
      [call, logits, output](Backend& backend) {
        const PolicyLossInput input{static_cast<int64_t>(call->targets.size()),
                                    call->vocabSize,
                                    logits,
                                    call->targets.data(),
                                    call->mask.data(),
                                    call->terms.data(),
                                    call->options};
        call->sums = backend.policyLoss(input, output);
      },
      [call](Napi::Env, Napi::Object kept) { return lossResult(kept, call->sums); });
}

Napi::Value linearPolicyLoss(KernelThread& thread, const Napi::CallbackInfo& info) {
  const Napi::Object given = requireObject(info[0], "input");
  const std::shared_ptr<LossCall> call = parseLossCall(given);
  const int64_t width = parseInteger(given, "hiddenSize", 1, INT32_MAX);
  const size_t tokens = call->targets.size(), hiddenValues = tokens * static_cast<size_t>(width);
  const size_t weightValues = static_cast<size_t>(call->vocabSize) * static_cast<size_t>(width);
  Arrays arrays(info.Env());
  LinearPolicyLossInput input;
  input.tokens = static_cast<int64_t>(tokens);
  input.hiddenSize = width;
  input.vocabSize = call->vocabSize;
  input.hidden = arrays.input<float>(given, "hidden", hiddenValues);
  input.weight = arrays.input<float>(given, "weight", weightValues);
  input.targets = call->targets.data();
  input.mask = call->mask.data();
  input.terms = call->terms.data();
  input.options = call->options;
  const LinearPolicyLossOutput output{arrays.output("logprobs", tokens), arrays.output("entropy", tokens),
                                      arrays.output("gradHidden", hiddenValues),
                                      arrays.output("gradWeight", weightValues)};
  return thread.run(
      info.Env(), parseDevice(given.Get("device")), arrays.kept(),
      [call, input, output](Backend& backend) {
        call->sums = hdpo::linearPolicyLoss(backend, input, output);
      },
      [call](Napi::Env, Napi::Object kept) { return lossResult(kept, call->sums); });
}

}  // namespace

Napi::Object exportKernels(Napi::Env env) {
  const auto thread = std::make_shared<KernelThread>(env);
  const auto exported = [&](const char* name,
                            Napi::Value (*kernel)(KernelThread&, const Napi::CallbackInfo&)) {
    return Napi::Function::New(
        env, [thread, kernel](const Napi::CallbackInfo& info) { return kernel(*thread, info); }, name);
  };
  Napi::Object kernels = Napi::Object::New(env);
  kernels.Set("groupAdvantages", exported("groupAdvantages", groupAdvantages));
  kernels.Set("policyLoss", exported("policyLoss", policyLoss));
  kernels.Set("linearPolicyLoss", exported("linearPolicyLoss", linearPolicyLoss));
  return kernels;
}

}  // namespace hdpo
