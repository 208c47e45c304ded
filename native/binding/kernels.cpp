// The public kernels, which lib/native/kernels.ts calls. Inputs are copied at the time of the call: a caller
// may transfer, resize or write its arrays while the kernel runs (Node-API cannot pin them). Results are
// written into arrays that no JS code sees before the kernel has ended. What indexes memory (targets, masks,
// lengths) is checked in the copy.
#include <memory>
#include <utility>

#include "binding/arguments.h"
#include "binding/kernel_thread.h"
#include "binding/output_arrays.h"
#include "core/error.h"
#include "ops/linear_policy_loss.h"

namespace hdpo {

namespace {

struct AdvantagesCall {
  std::vector<int32_t> groupIds, toolCalls;
  std::vector<float> accuracyRewards, toolCosts;
  std::vector<uint8_t> correct;
};

Napi::Value groupAdvantages(KernelThread& thread, const Napi::CallbackInfo& info) {
  const Napi::Object given = requireObject(info[0], "input");
  const auto call = std::make_shared<AdvantagesCall>();
  call->groupIds = parseArray<int32_t>(given.Get("groupIds"), "groupIds");
  const size_t rollouts = call->groupIds.size();
  if (rollouts > INT32_MAX) throwRange(info.Env(), "groupIds must have at most 2147483647 elements");
  call->accuracyRewards = parseArray<float>(given.Get("accuracyRewards"), "accuracyRewards", rollouts);
  call->correct = parseArray<uint8_t>(given.Get("correct"), "correct", rollouts);
  GroupAdvantagesInput input;
  input.rollouts = static_cast<int64_t>(rollouts);
  input.groupIds = call->groupIds.data();
  input.accuracyRewards = call->accuracyRewards.data();
  input.correct = call->correct.data();
  if (given.Has("toolCosts")) {
    call->toolCosts = parseArray<float>(given.Get("toolCosts"), "toolCosts", rollouts);
    input.toolCosts = call->toolCosts.data();
  } else {
    call->toolCalls = parseArray<int32_t>(given.Get("toolCalls"), "toolCalls", rollouts);
    input.toolCalls = call->toolCalls.data();
  }
  input.epsilon = parseFloat(given, "epsilon", 0, kAnyFloat);
  input.scaleByStd = parseBoolean(given, "scaleByStd");
  auto outputs = std::make_unique<OutputArrays>(info.Env());
  const GroupAdvantagesOutput output{outputs->toFill("efficiencyRewards", rollouts),
                                     outputs->toFill("accuracyAdvantages", rollouts),
                                     outputs->toFill("efficiencyAdvantages", rollouts)};
  return thread.run(
      info.Env(), parseDevice(given.Get("device")), std::move(outputs),
      [call, input, output](Backend& backend) { backend.groupAdvantages(input, output); },
      [](Napi::Env, Napi::Object result) { return Napi::Value(result); });
}

// Work may be copied, but its arrays are not.
std::shared_ptr<const std::vector<float>> shared(std::vector<float> values) {
  return std::make_shared<const std::vector<float>>(std::move(values));
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
    return parseArray<float>(given.Get(name), name, length);
  };
  const bool reference = !given.Get("referenceLogprobs").IsUndefined();
  if (!reference && call->options.klCoefficient != 0) {
    throwType(env, "referenceLogprobs must be given when klCoefficient is not 0");
  }
  const std::vector<float> old = floats("oldLogprobs", tokens);
  const std::vector<float> frozen = reference ? floats("referenceLogprobs", tokens) : std::vector<float>();
  const std::vector<float> accuracy = floats("accuracyAdvantages", sequences);
  const std::vector<float> efficiency = floats("efficiencyAdvantages", sequences);
  call->terms = policyTerms(parseAggregation(options),
                            {static_cast<int64_t>(sequences), offsets.data(), call->mask.data(), old.data(),
                             reference ? frozen.data() : nullptr, accuracy.data(), efficiency.data()});
  return call;
}

Napi::Value lossResult(Napi::Object result, const PolicyLossSums& sums) {
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
  const auto logits = shared(parseArray<float>(given.Get("logits"), "logits", values));
  auto outputs = std::make_unique<OutputArrays>(info.Env());
  const PolicyLossOutput output{outputs->toFill("logprobs", tokens), outputs->toFill("entropy", tokens),
                                outputs->toFill("gradLogprobs", tokens),
                                outputs->toFill("gradLogits", values)};
  return thread.run(
      info.Env(), parseDevice(given.Get("device")), std::move(outputs),
      [call, logits, output](Backend& backend) {
        const PolicyLossInput input{static_cast<int64_t>(call->targets.size()),
                                    call->vocabSize,
                                    logits->data(),
                                    call->targets.data(),
                                    call->mask.data(),
                                    call->terms.data(),
                                    call->options};
        call->sums = backend.policyLoss(input, output);
      },
      [call](Napi::Env, Napi::Object result) { return lossResult(result, call->sums); });
}

Napi::Value linearPolicyLoss(KernelThread& thread, const Napi::CallbackInfo& info) {
  const Napi::Object given = requireObject(info[0], "input");
  const std::shared_ptr<LossCall> call = parseLossCall(given);
  const int64_t width = parseInteger(given, "hiddenSize", 1, INT32_MAX);
  const size_t tokens = call->targets.size(), hiddenValues = tokens * static_cast<size_t>(width);
  const size_t weightValues = static_cast<size_t>(call->vocabSize) * static_cast<size_t>(width);
  const auto hidden = shared(parseArray<float>(given.Get("hidden"), "hidden", hiddenValues));
  const auto weight = shared(parseArray<float>(given.Get("weight"), "weight", weightValues));
  auto outputs = std::make_unique<OutputArrays>(info.Env());
  const LinearPolicyLossOutput output{outputs->zeros("logprobs", tokens), outputs->zeros("entropy", tokens),
                                      outputs->zeros("gradHidden", hiddenValues),
                                      outputs->zeros("gradWeight", weightValues)};
  return thread.run(
      info.Env(), parseDevice(given.Get("device")), std::move(outputs),
      [call, hidden, weight, width, output](Backend& backend) {
        LinearPolicyLossInput input;
        input.tokens = static_cast<int64_t>(call->targets.size());
        input.hiddenSize = width;
        input.vocabSize = call->vocabSize;
        input.hidden = hidden->data();
        input.weight = weight->data();
        input.targets = call->targets.data();
        input.mask = call->mask.data();
        input.terms = call->terms.data();
        input.options = call->options;
        call->sums = hdpo::linearPolicyLoss(backend, input, output);
      },
      [call](Napi::Env, Napi::Object result) { return lossResult(result, call->sums); });
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
