// The `Engine` class of the addon: a model, its optimiser state and its generator on one thread. Every method
// that computes returns a promise. Methods on sequences that return none take effect in submission order.
//
// Lifetimes. EngineCore lives on the engine thread and is touched by that thread alone. While a promise is
// outstanding, a reference keeps the JS object alive. When the object is collected or closed, or the
// environment ends, the thread is joined first.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "binding/completion_queue.h"
#include "binding/napi.h"
#include "core/engine_thread.h"
#include "generation/generator.h"
#include "ops/device.h"
#include "training/learner.h"

namespace hdpo {

struct EngineOptions {
  ModelConfig config;
  ModelOptions model;
  Device device{};
  int threads = 0;
  uint64_t seed = 0;
  bool initialize = false;
  bool recompute = false;
  GenerationOptions generation;
  std::vector<std::string> tokenBytes;
};

// Everything that the engine thread owns.
struct EngineCore {
  explicit EngineCore(EngineOptions options);

  // After training or loading, makes generation look again at what depends on the weights.
  void trainedChanged();

  const EngineOptions options;  // without the parts that the generator took over
  std::unique_ptr<Backend> backend;
  std::unique_ptr<ModelWeights> model;
  std::unique_ptr<Learner> learner;
  std::unique_ptr<Generator> generator;
  std::optional<Parameters> reference;
  // Sequences whose create, fork or append failed: the next prefill or sample of one rejects with the reason.
  std::unordered_map<SequenceId, std::exception_ptr> failedSequences;
  // Rejects the promises that close() leaves waiting.
  std::unordered_map<SequenceId, std::function<void(std::exception_ptr)>> waiting;
};

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Engine(const Napi::CallbackInfo& info);
  ~Engine() override;

 private:
  using AbortFlag = std::shared_ptr<std::atomic<bool>>;

  // Life (engine.cpp).
  Napi::Value ready(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value parameterCountAccessor(const Napi::CallbackInfo& info);
  Napi::Value trainableParameterCountAccessor(const Napi::CallbackInfo& info);
  Napi::Value enableProfile(const Napi::CallbackInfo& info);
  Napi::Value profile(const Napi::CallbackInfo& info);

  // Training and weights (engine_training.cpp, engine_weights.cpp).
  Napi::Value policyStep(const Napi::CallbackInfo& info);
  Napi::Value supervisedStep(const Napi::CallbackInfo& info);
  Napi::Value logprobs(const Napi::CallbackInfo& info);
  Napi::Value freezeReference(const Napi::CallbackInfo& info);
  Napi::Value saveWeights(const Napi::CallbackInfo& info);
  Napi::Value loadWeights(const Napi::CallbackInfo& info);
  Napi::Value saveAdapter(const Napi::CallbackInfo& info);
  Napi::Value loadAdapter(const Napi::CallbackInfo& info);
  Napi::Value mergeAdapter(const Napi::CallbackInfo& info);
  Napi::Value unmergeAdapter(const Napi::CallbackInfo& info);
  Napi::Value memoryPlan(const Napi::CallbackInfo& info);
  Napi::Value saveOptimizer(const Napi::CallbackInfo& info);
  Napi::Value loadOptimizer(const Napi::CallbackInfo& info);
  void abortTraining(const Napi::CallbackInfo& info);

  // Sequences (engine_sequences.cpp).
  Napi::Value createSequence(const Napi::CallbackInfo& info);
  Napi::Value forkSequence(const Napi::CallbackInfo& info);
  void appendTokens(const Napi::CallbackInfo& info);
  Napi::Value prefill(const Napi::CallbackInfo& info);
  Napi::Value sample(const Napi::CallbackInfo& info);
  void abortSample(const Napi::CallbackInfo& info);
  void releaseSequence(const Napi::CallbackInfo& info);
  Napi::Value generationStats(const Napi::CallbackInfo& info);

  // A promise and the right to settle it once, from the engine thread.
  class Settler {
   public:
    Settler(Engine& engine, Napi::Env env);
    Napi::Promise promise() const { return deferred_->Promise(); }
    void resolve(std::function<Napi::Value(Napi::Env)> convert) const;
    void reject(std::exception_ptr error) const;

   private:
    Engine& engine_;
    std::shared_ptr<Napi::Promise::Deferred> deferred_;
  };
  friend class Settler;

  // Runs work(core) on the engine thread; its result, converted on the JS thread, resolves the promise.
  template <class Work, class Convert>
  Napi::Value run(Napi::Env env, Work work, Convert convert);
  template <class Work>
  Napi::Value runVoid(Napi::Env env, Work work);
  // Runs work(core) for a sequence, without a promise: a failure is kept for the sequence's next promise.
  template <class Work>
  void post(SequenceId sequence, Work work);
  // Starts a prefill or sample. Its promise settles later, from a generation step.
  Napi::Value startOnSequence(Napi::Env env, SequenceId id,
                              std::function<void(EngineCore&, const Settler&)> start);
  Napi::Value rejectClosed(Napi::Env env);
  EngineCore& core();  // engine thread; throws failure_, or ERR_CLOSED
  // Engine thread: runs a load. One that leaves a part loaded ends the engine, because nothing may compute with it.
  void loadWhole(const std::function<void()>& load);
  // Engine thread: rejects what waits with `error` and frees everything.
  void abandon(std::exception_ptr error);
  bool generate();  // engine thread: the idle work
  void stop();      // JS thread: joins the engine thread
  static void onEnvironmentEnd(void* engine);
  AbortFlag newAbortFlag();
  void setAbortFlags();

  ModelConfig config_;
  ModelOptions model_;
  bool closed_ = false;  // JS thread
  SequenceId nextSequence_ = 1;
  std::vector<std::weak_ptr<std::atomic<bool>>> abortFlags_;
  std::unique_ptr<CompletionQueue> completions_;
  std::unique_ptr<EngineCore> core_;  // engine thread
  std::exception_ptr failure_;        // engine thread: why there is no core, where that is not close()
  std::unique_ptr<EngineThread> thread_;
};

template <class Work, class Convert>
Napi::Value Engine::run(Napi::Env env, Work work, Convert convert) {
  if (closed_) return rejectClosed(env);
  Settler settler(*this, env);
  thread_->submit([this, settler, work = std::move(work), convert = std::move(convert)]() mutable {
    try {
      auto result = std::make_shared<decltype(work(core()))>(work(core()));
      settler.resolve(
          [result, convert = std::move(convert)](Napi::Env scope) { return convert(scope, *result); });
    } catch (...) {
      settler.reject(std::current_exception());
    }
  });
  return settler.promise();
}

template <class Work>
Napi::Value Engine::runVoid(Napi::Env env, Work work) {
  return run(
      env,
      [work = std::move(work)](EngineCore& core) mutable {
        work(core);
        return true;
      },
      [](Napi::Env scope, bool) { return scope.Undefined(); });
}

template <class Work>
void Engine::post(SequenceId sequence, Work work) {
  if (closed_) return;  // the handle's next promise rejects with ERR_CLOSED
  thread_->submit([this, sequence, work = std::move(work)]() mutable {
    if (!core_) return;  // likewise
    try {
      work(*core_);
    } catch (...) {
      core_->failedSequences[sequence] = std::current_exception();
    }
  });
}

// Checks the options that JS passes (engine_options.cpp). Wrong types throw TypeError and wrong values
// RangeError, naming the argument.
EngineOptions parseEngineOptions(const Napi::Value& value);
DType parsePrecision(const Napi::Value& value, const char* name);
TrainingBatch parseTrainingBatch(const Napi::Value& value, const ModelConfig& config, bool policy);
OptimizerOptions parseOptimizerOptions(const Napi::Value& value);
SamplingOptions parseSamplingOptions(const Napi::Value& value, const ModelConfig& config);
std::vector<int32_t> parseTokens(const Napi::Value& value, const char* name, const ModelConfig& config);
std::vector<int32_t> parseOffsets(const Napi::Value& value, size_t tokens, const ModelConfig& config);

}  // namespace hdpo
