// Sequences of an engine. Their handles are numbers given out here; their state lives in the generator, on
// the engine thread.
#include "binding/arguments.h"
#include "binding/engine.h"
#include "core/error.h"

namespace hdpo {

namespace {

SequenceId parseId(const Napi::Value& value) {
  return static_cast<SequenceId>(value.ToNumber().Int64Value());
}

const char* finishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::StopToken:
      return "stop-token";
    case FinishReason::StopString:
      return "stop-string";
    case FinishReason::Length:
      return "length";
    case FinishReason::Aborted:
      return "aborted";
  }
  return "unknown";
}

Napi::Value sampleResult(Napi::Env env, const SampleResult& sample,
                         const std::vector<std::string>& stopStrings) {
  Napi::Int32Array tokens = Napi::Int32Array::New(env, sample.tokens.size());
  std::copy(sample.tokens.begin(), sample.tokens.end(), tokens.Data());
  Napi::Float32Array logprobs = Napi::Float32Array::New(env, sample.logprobs.size());
  std::copy(sample.logprobs.begin(), sample.logprobs.end(), logprobs.Data());
  Napi::Object result = Napi::Object::New(env);
  result.Set("tokens", tokens);
  result.Set("logprobs", logprobs);
  result.Set("finishReason", finishReasonName(sample.reason));
  if (sample.reason == FinishReason::StopToken) result.Set("stopToken", sample.stopToken);
  if (sample.reason == FinishReason::StopString) {
    result.Set("stopString", stopStrings.at(static_cast<size_t>(sample.stopString)));
  }
  return result;
}

}  // namespace

Napi::Value Engine::createSequence(const Napi::CallbackInfo& info) {
  std::vector<int32_t> tokens = parseTokens(info[0], "tokens", config_);
  const SequenceId id = nextSequence_++;
  post(id, [id, tokens = std::move(tokens)](EngineCore& core) mutable {
    core.generator->create(id, std::move(tokens));
  });
  return Napi::Number::New(info.Env(), static_cast<double>(id));
}

Napi::Value Engine::forkSequence(const Napi::CallbackInfo& info) {
  const SequenceId parent = parseId(info[0]), id = nextSequence_++;
  post(id, [id, parent](EngineCore& core) {
    const auto failed = core.failedSequences.find(parent);
    if (failed != core.failedSequences.end()) std::rethrow_exception(failed->second);
    core.generator->fork(id, parent);
  });
  return Napi::Number::New(info.Env(), static_cast<double>(id));
}

void Engine::appendTokens(const Napi::CallbackInfo& info) {
  const SequenceId id = parseId(info[0]);
  post(id, [id, tokens = parseTokens(info[1], "tokens", config_)](EngineCore& core) {
    if (!core.failedSequences.contains(id)) core.generator->append(id, tokens);
  });
}

void Engine::releaseSequence(const Napi::CallbackInfo& info) {
  const SequenceId id = parseId(info[0]);
  post(id, [id](EngineCore& core) {
    if (core.failedSequences.erase(id) == 0) core.generator->release(id);
  });
}

void Engine::abortSample(const Napi::CallbackInfo& info) {
  const SequenceId id = parseId(info[0]);
  post(id, [id](EngineCore& core) {
    if (!core.failedSequences.contains(id)) core.generator->abort(id);
  });
}

Napi::Value Engine::prefill(const Napi::CallbackInfo& info) {
  const SequenceId id = parseId(info[0]);
  return startOnSequence(info.Env(), id, [id](EngineCore& core, const Settler& settler) {
    core.generator->prefill(id, [&core, id, settler](std::exception_ptr error) {
      core.waiting.erase(id);
      if (error) return settler.reject(error);
      settler.resolve([](Napi::Env env) { return env.Undefined(); });
    });
  });
}

Napi::Value Engine::sample(const Napi::CallbackInfo& info) {
  const SequenceId id = parseId(info[0]);
  SamplingOptions options = parseSamplingOptions(info[1], config_);
  return startOnSequence(info.Env(), id,
                         [id, options = std::move(options)](EngineCore& core, const Settler& settler) {
                           auto done = [&core, id, settler, stops = options.stopStrings](
                                           std::exception_ptr error, SampleResult sample) {
                             core.waiting.erase(id);
                             if (error) return settler.reject(error);
                             settler.resolve([sample = std::move(sample), stops](Napi::Env env) {
                               return sampleResult(env, sample, stops);
                             });
                           };
                           core.generator->sample(id, options, std::move(done));
                         });
}

Napi::Value Engine::startOnSequence(Napi::Env env, SequenceId id,
                                    std::function<void(EngineCore&, const Settler&)> start) {
  if (closed_) return rejectClosed(env);
  Settler settler(*this, env);
  thread_->submit([this, id, settler, start = std::move(start)] {
    try {
      EngineCore& engine = core();
      const auto failed = engine.failedSequences.find(id);
      if (failed != engine.failedSequences.end()) std::rethrow_exception(failed->second);
      require(!engine.waiting.contains(id), "ERR_BUSY",
              "this sequence is already being sampled or prefilled");
      engine.waiting[id] = [settler](std::exception_ptr error) { settler.reject(error); };
      try {
        start(engine, settler);
      } catch (...) {
        engine.waiting.erase(id);
        throw;
      }
    } catch (...) {
      settler.reject(std::current_exception());
    }
  });
  return settler.promise();
}

Napi::Value Engine::generationStats(const Napi::CallbackInfo& info) {
  return run(
      info.Env(), [](EngineCore& core) { return core.generator->stats(); },
      [](Napi::Env env, const GenerationStats& stats) {
        Napi::Object result = Napi::Object::New(env);
        result.Set("steps", static_cast<double>(stats.steps));
        result.Set("rows", static_cast<double>(stats.rows));
        result.Set("sampledTokens", static_cast<double>(stats.sampledTokens));
        result.Set("prefillTokens", static_cast<double>(stats.prefillTokens));
        result.Set("evictions", static_cast<double>(stats.evictions));
        result.Set("seconds", stats.seconds);
        result.Set("kvBytesUsed", static_cast<double>(stats.kvBytesUsed));
        result.Set("kvBytesBudget", static_cast<double>(stats.kvBytesBudget));
        result.Set("live", static_cast<double>(stats.live));
        result.Set("sampling", static_cast<double>(stats.sampling));
        result.Set("waiting", static_cast<double>(stats.waiting));
        return Napi::Value(result);
      });
}

}  // namespace hdpo
