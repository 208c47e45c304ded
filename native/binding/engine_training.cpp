// Training, logprobs and weights of an engine.
#include "binding/arguments.h"
#include "binding/engine.h"
#include "core/error.h"

namespace hdpo {

namespace {

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

Napi::Value stepResult(Napi::Env env, const StepResult& step) {
  const AccumulatedLoss& sums = step.sums;
  Napi::Object result = Napi::Object::New(env);
  result.Set("loss", sums.loss);
  result.Set("accuracyLoss", sums.accuracyLoss);
  result.Set("efficiencyLoss", sums.efficiencyLoss);
  result.Set("kl", sums.kl);
  result.Set("supervisedLoss", sums.supervisedLoss);
  result.Set("entropy", step.meanEntropy);
  result.Set("logprobDifference", sums.logprobDifference);
  result.Set("clippedLow", share(sums.clippedLow, sums.trainedTokens));
  result.Set("clippedHigh", share(sums.clippedHigh, sums.trainedTokens));
  result.Set("dualClipped", share(sums.dualClipped, sums.trainedTokens));
  result.Set("trainedTokens", static_cast<double>(sums.trainedTokens));
  result.Set("pushedTokens", static_cast<double>(sums.tokens));
  result.Set("tokens", static_cast<double>(step.tokens));
  result.Set("microBatches", static_cast<double>(sums.microBatches));
  result.Set("gradientNorm", step.gradientNorm);
  result.Set("skipped", step.skipped);
  result.Set("workspaceBytes", static_cast<double>(sums.workspaceBytes));
  return result;
}

Napi::Float32Array floatArray(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

}  // namespace

Napi::Value Engine::policyStep(const Napi::CallbackInfo& info) {
  auto batch = std::make_shared<TrainingBatch>(parseTrainingBatch(info[0], config_, true));
  const Aggregation aggregation = parseAggregation(info[1]);
  const PolicyLossOptions loss = parsePolicyLossOptions(info[1]);
  const OptimizerOptions optimizer = parseOptimizerOptions(info[2]);
  return run(
      info.Env(),
      [=, flag = newAbortFlag()](EngineCore& core) {
        const StepResult result = core.learner->policyStep(*batch, aggregation, loss, optimizer, flag.get());
        if (!result.skipped) core.trainedChanged();
        return result;
      },
      stepResult);
}

Napi::Value Engine::supervisedStep(const Napi::CallbackInfo& info) {
  auto batch = std::make_shared<TrainingBatch>(parseTrainingBatch(info[0], config_, false));
  const OptimizerOptions optimizer = parseOptimizerOptions(info[1]);
  return run(
      info.Env(),
      [=, flag = newAbortFlag()](EngineCore& core) {
        const StepResult result = core.learner->supervisedStep(*batch, optimizer, flag.get());
        if (!result.skipped) core.trainedChanged();
        return result;
      },
      stepResult);
}

Napi::Value Engine::logprobs(const Napi::CallbackInfo& info) {
  struct Result {
    std::vector<float> logprobs, entropies;
  };
  std::vector<int32_t> tokens = parseTokens(info[0], "tokens", config_);
  std::vector<int32_t> offsets = parseOffsets(info[1], tokens.size(), config_);
  const float temperature = info[2].ToNumber().FloatValue();
  const bool reference = info[3].ToBoolean();
  return run(
      info.Env(),
      [=](EngineCore& core) {
        const bool frozen = core.reference.has_value() || core.model->adapter();
        require(!reference || frozen, "ERR_NO_REFERENCE",
                "there are no reference weights; call freezeReference() first");
        Result result{std::vector<float>(tokens.size()), std::vector<float>(tokens.size())};
        // With an adapter the base weights are the reference.
        const Model model = !reference       ? core.model->model()
                            : core.reference ? Model(*core.reference)
                                             : core.model->reference();
        core.learner->logprobs(model, tokens, offsets, temperature, core.backend->defaults().microBatchTokens,
                               result.logprobs.data(), result.entropies.data());
        return result;
      },
      [](Napi::Env env, const Result& result) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("logprobs", floatArray(env, result.logprobs));
        object.Set("entropies", floatArray(env, result.entropies));
        return Napi::Value(object);
      });
}

void Engine::abortTraining(const Napi::CallbackInfo&) { setAbortFlags(); }

}  // namespace hdpo
