// Weights, adapters and optimiser state of an engine, on disk and in memory.
#include "binding/arguments.h"
#include "binding/engine.h"
#include "core/error.h"
#include "generation/packed_weights.h"
#include "training/memory.h"
#include "training/memory_plan.h"
#include "training/tensor_files.h"
#include "training/weight_files.h"

namespace hdpo {

namespace {

std::vector<std::string> parsePaths(const Napi::Value& value) {
  if (!value.IsArray()) return {parseString(value, "paths")};
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < array.Length(); ++i) paths.push_back(parseString(array.Get(i), "paths[i]"));
  if (paths.empty()) throwRange(value.Env(), "paths must hold at least one path");
  return paths;
}

// By default weights are saved as precisely as the model keeps them.
SaveOptions parseSaveOptions(const Napi::CallbackInfo& info, const ModelOptions& model) {
  SaveOptions options;
  if (info[1].IsUndefined()) {
    options.precision = model.hasMasters() ? DType::Float32 : model.precision;
  } else {
    options.precision = parsePrecision(info[1], "dtype");
  }
  if (info[2].IsUndefined()) return options;
  if (!info[2].IsNumber()) throwType(info.Env(), "maxShardBytes must be a number");
  const double bytes = info[2].As<Napi::Number>().DoubleValue();
  if (!(bytes >= 1)) throwRange(info.Env(), "maxShardBytes must be at least 1");
  options.maxShardBytes = bytes < 0x1p63 ? static_cast<uint64_t>(bytes) : UINT64_MAX;
  return options;
}

struct PlanResult {
  MemoryPlan plan;
  size_t resident = 0, available = 0;
};

Napi::Value planObject(Napi::Env env, const PlanResult& result) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&object](const char* name, size_t bytes) {
    object.Set(name, static_cast<double>(bytes));
  };
  set("weights", result.plan.weights);
  set("generationWeights", result.plan.generationWeights);
  set("adapters", result.plan.adapters);
  set("gradients", result.plan.gradients);
  set("optimizer", result.plan.optimizer);
  set("activations", result.plan.activations);
  set("kvCache", result.plan.kvCache);
  set("generationWorkspace", result.plan.generationWorkspace);
  set("total", result.plan.total());
  set("resident", result.resident);
  set("available", result.available);
  return object;
}

}  // namespace

void Engine::loadWhole(const std::function<void()>& load) {
  try {
    load();
  } catch (const PartlyLoaded& error) {
    failure_ = std::make_exception_ptr(Error(
        "ERR_STATE", std::string("the engine holds parts of two files, since this failed: ") + error.what()));
    abandon(failure_);
    throw;
  }
}

Napi::Value Engine::freezeReference(const Napi::CallbackInfo& info) {
  return runVoid(info.Env(), [](EngineCore& core) {
    if (core.model->adapter()) return;  // the base weights are frozen and stay as they are
    const Parameters& weights = core.model->weights();
    if (!core.reference) core.reference.emplace(*core.backend, weights.config(), weights.precision());
    core.reference->copyFrom(weights);
  });
}

Napi::Value Engine::saveWeights(const Napi::CallbackInfo& info) {
  const SaveOptions options = parseSaveOptions(info, model_);
  return runVoid(info.Env(), [path = parseString(info[0], "path"), options](EngineCore& core) {
    hdpo::saveWeights(*core.model, path, options);
  });
}

Napi::Value Engine::loadWeights(const Napi::CallbackInfo& info) {
  return runVoid(info.Env(), [this, paths = parsePaths(info[0])](EngineCore& core) {
    loadWhole([&] { hdpo::loadWeights(*core.model, paths); });
    core.generator->weightsChanged();
  });
}

Napi::Value Engine::saveAdapter(const Napi::CallbackInfo& info) {
  return runVoid(info.Env(), [path = parseString(info[0], "path")](EngineCore& core) {
    hdpo::saveAdapter(core.model->requireAdapter(), path);
  });
}

Napi::Value Engine::loadAdapter(const Napi::CallbackInfo& info) {
  return runVoid(info.Env(), [this, path = parseString(info[0], "path")](EngineCore& core) {
    loadWhole([&] { hdpo::loadAdapter(core.model->requireAdapter(), path); });
    core.generator->adapterChanged();
  });
}

Napi::Value Engine::mergeAdapter(const Napi::CallbackInfo& info) {
  return runVoid(info.Env(), [](EngineCore& core) {
    core.model->merge();
    core.generator->setMerged(true);
  });
}

Napi::Value Engine::unmergeAdapter(const Napi::CallbackInfo& info) {
  return runVoid(info.Env(), [](EngineCore& core) {
    core.model->unmerge();
    core.generator->setMerged(false);
  });
}

Napi::Value Engine::memoryPlan(const Napi::CallbackInfo& info) {
  std::optional<int64_t> given;
  if (!info[0].IsUndefined()) {
    if (!info[0].IsNumber()) throwType(info.Env(), "microBatchTokens must be a number");
    given = info[0].As<Napi::Number>().Int64Value();
    if (*given < 1 || *given > int64_t{1} << 30)
      throwRange(info.Env(), "microBatchTokens must be between 1 and 2^30");
  }
  return run(
      info.Env(),
      [given](EngineCore& core) {
        const int64_t tokens = given.value_or(core.backend->defaults().microBatchTokens);
        const EngineOptions& options = core.options;
        const AdapterOptions* adapter = options.model.adapter ? &*options.model.adapter : nullptr;
        PlanResult result;
        result.plan = planModel(options.config, options.model);
        result.plan.generationWeights = PackedWeights::bytes(
            *core.backend, options.config, adapter, options.generation.format, options.model.precision);
        result.plan.kvCache = core.generator->stats().kvBytesBudget;
        result.plan.generationWorkspace =
            Generator::workspaceBytes(*core.backend, options.config, adapter, options.generation);
        if (options.model.trainable) {
          result.plan.activations = trainingActivationBytes(*core.backend, options.config, options.model,
                                                            options.recompute, tokens);
        }
        result.resident = residentMemory();
        result.available = availableMemory(*core.backend);
        return result;
      },
      planObject);
}

Napi::Value Engine::saveOptimizer(const Napi::CallbackInfo& info) {
  return runVoid(info.Env(), [path = parseString(info[0], "path")](EngineCore& core) {
    core.learner->saveOptimizer(path);
  });
}

Napi::Value Engine::loadOptimizer(const Napi::CallbackInfo& info) {
  return runVoid(info.Env(), [this, path = parseString(info[0], "path")](EngineCore& core) {
    loadWhole([&] { core.learner->loadOptimizer(path); });
  });
}

}  // namespace hdpo
