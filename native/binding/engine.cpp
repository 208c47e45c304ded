// Construction, life and death of an engine; see engine.h for the lifetimes.
#include "binding/engine.h"

#include <utility>

#include "binding/arguments.h"
#include "binding/environment_end.h"
#include "core/error.h"

namespace hdpo {

EngineCore::EngineCore(EngineOptions given) : options(std::move(given)) {
  backend = createBackend(options.device, options.threads);
  model = std::make_unique<ModelWeights>(*backend, options.config, options.model);
  if (options.initialize) model->initialize(options.seed);
  if (!options.initialize && model->adapter()) model->adapter()->initialize(options.seed);
  learner = std::make_unique<Learner>(*backend, *model, options.recompute, options.seed);
  GenerationOptions generation = options.generation;
  generation.adapter = model->adapter();
  generator = std::make_unique<Generator>(*backend, model->weights(), generation, options.tokenBytes);
}

void EngineCore::trainedChanged() {
  if (model->adapter()) return generator->adapterChanged();
  generator->weightsChanged();
}

Napi::Function exportEngine(Napi::Env env) { return Engine::define(env); }

Napi::Function Engine::define(Napi::Env env) {
  return DefineClass(
      env, "Engine",
      {
          InstanceAccessor("parameterCount", &Engine::parameterCountAccessor, nullptr),
          InstanceAccessor("trainableParameterCount", &Engine::trainableParameterCountAccessor, nullptr),
          InstanceMethod("ready", &Engine::ready),
          InstanceMethod("close", &Engine::close),
          InstanceMethod("enableProfile", &Engine::enableProfile),
          InstanceMethod("profile", &Engine::profile),
          InstanceMethod("policyStep", &Engine::policyStep),
          InstanceMethod("supervisedStep", &Engine::supervisedStep),
          InstanceMethod("logprobs", &Engine::logprobs),
          InstanceMethod("freezeReference", &Engine::freezeReference),
          InstanceMethod("saveWeights", &Engine::saveWeights),
          InstanceMethod("loadWeights", &Engine::loadWeights),
          InstanceMethod("saveAdapter", &Engine::saveAdapter),
          InstanceMethod("loadAdapter", &Engine::loadAdapter),
          InstanceMethod("mergeAdapter", &Engine::mergeAdapter),
          InstanceMethod("unmergeAdapter", &Engine::unmergeAdapter),
          InstanceMethod("memoryPlan", &Engine::memoryPlan),
          InstanceMethod("saveOptimizer", &Engine::saveOptimizer),
          InstanceMethod("loadOptimizer", &Engine::loadOptimizer),
          InstanceMethod("abortTraining", &Engine::abortTraining),
          InstanceMethod("createSequence", &Engine::createSequence),
          InstanceMethod("forkSequence", &Engine::forkSequence),
          InstanceMethod("appendTokens", &Engine::appendTokens),
          InstanceMethod("prefill", &Engine::prefill),
          InstanceMethod("sample", &Engine::sample),
          InstanceMethod("abortSample", &Engine::abortSample),
          InstanceMethod("releaseSequence", &Engine::releaseSequence),
          InstanceMethod("generationStats", &Engine::generationStats),
      });
}

Engine::Engine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Engine>(info) {
  EngineOptions options = parseEngineOptions(info[0]);
  try {
    validate(options.config);
    if (options.model.adapter) validate(*options.model.adapter);
  } catch (...) {
    throw toJsError(info.Env(), std::current_exception());
  }
  config_ = options.config;
  model_ = options.model;
  completions_ = std::make_unique<CompletionQueue>(info.Env());
  thread_ = std::make_unique<EngineThread>([this] { return generate(); });
  // The weights are allocated and drawn on the engine thread, because a large model must not block the event
  // loop. ready() reports when they are there.
  thread_->submit([this, options = std::move(options)]() mutable {
    try {
      core_ = std::make_unique<EngineCore>(std::move(options));
    } catch (...) {
      failure_ = std::current_exception();
    }
  });
  stopAtEnvironmentEnd(info.Env(), &Engine::onEnvironmentEnd, this);
}

Engine::~Engine() {
  if (!thread_) return;  // the constructor threw, or the environment ends
  forgetEnvironmentEnd(Env(), &Engine::onEnvironmentEnd, this);
  stop();
}

void Engine::onEnvironmentEnd(void* engine) { static_cast<Engine*>(engine)->stop(); }

void Engine::stop() {
  setAbortFlags();
  closed_ = true;
  thread_.reset();
}

EngineCore& Engine::core() {
  if (failure_) std::rethrow_exception(failure_);
  require(core_ != nullptr, "ERR_CLOSED", "the engine has been closed");
  return *core_;
}

bool Engine::generate() {
  if (!core_ || !core_->generator->hasWork()) return false;
  core_->generator->step();
  return true;
}

Napi::Value Engine::ready(const Napi::CallbackInfo& info) {
  return runVoid(info.Env(), [](EngineCore&) {});
}

Napi::Value Engine::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (closed_) return rejectClosed(env);
  setAbortFlags();
  const Napi::Value promise = runVoid(env, [this](EngineCore&) {
    abandon(std::make_exception_ptr(Error("ERR_CLOSED", "the engine was closed while this was waiting")));
  });
  closed_ = true;
  return promise;
}

void Engine::abandon(std::exception_ptr error) {
  auto waiting = std::move(core_->waiting);
  core_->waiting.clear();
  for (auto& [id, reject] : waiting) reject(error);
  core_.reset();
}

Napi::Value Engine::rejectClosed(Napi::Env env) {
  auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(
      toJsError(env, std::make_exception_ptr(Error("ERR_CLOSED", "the engine has been closed"))).Value());
  return deferred.Promise();
}

Napi::Value Engine::parameterCountAccessor(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(parameterCount(parameterEntries(config_))));
}

Napi::Value Engine::trainableParameterCountAccessor(const Napi::CallbackInfo& info) {
  if (!model_.trainable) return Napi::Number::New(info.Env(), 0);
  const int64_t count =
      parameterCount(model_.adapter ? adapterEntries(config_, *model_.adapter) : parameterEntries(config_));
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

Napi::Value Engine::enableProfile(const Napi::CallbackInfo& info) {
  const bool on = info[0].ToBoolean();
  return runVoid(info.Env(), [on](EngineCore& core) {
    core.backend->profiler().enable(on);
    core.backend->profiler().reset();
  });
}

Napi::Value Engine::profile(const Napi::CallbackInfo& info) {
  return run(
      info.Env(), [](EngineCore& core) { return core.backend->profiler().entries(); },
      [](Napi::Env env, const std::map<std::string, Profiler::Entry>& entries) {
        Napi::Array result = Napi::Array::New(env, entries.size());
        uint32_t index = 0;
        for (const auto& [name, entry] : entries) {
          Napi::Object row = Napi::Object::New(env);
          row.Set("name", name);
          row.Set("calls", static_cast<double>(entry.calls));
          row.Set("seconds", entry.seconds);
          row.Set("flops", entry.flops);
          result.Set(index++, row);
        }
        return Napi::Value(result);
      });
}

Engine::Settler::Settler(Engine& engine, Napi::Env env)
    : engine_(engine),
      deferred_(std::make_shared<Napi::Promise::Deferred>(Napi::Promise::Deferred::New(env))) {
  engine_.completions_->expect(env);
  engine_.Ref();
}

void Engine::Settler::resolve(std::function<Napi::Value(Napi::Env)> convert) const {
  engine_.completions_->settle(
      [engine = &engine_, deferred = deferred_, convert = std::move(convert)](Napi::Env env) {
        try {
          deferred->Resolve(convert(env));
        } catch (const Napi::Error& error) {
          deferred->Reject(error.Value());
        }
        engine->Unref();
      });
}

void Engine::Settler::reject(std::exception_ptr error) const {
  engine_.completions_->settle([engine = &engine_, deferred = deferred_, error](Napi::Env env) {
    deferred->Reject(toJsError(env, error).Value());
    engine->Unref();
  });
}

Engine::AbortFlag Engine::newAbortFlag() {
  std::erase_if(abortFlags_, [](const auto& flag) { return flag.expired(); });
  auto flag = std::make_shared<std::atomic<bool>>(false);
  abortFlags_.push_back(flag);
  return flag;
}

void Engine::setAbortFlags() {
  for (const auto& weak : abortFlags_) {
    if (const AbortFlag flag = weak.lock()) flag->store(true);
  }
}

}  // namespace hdpo
