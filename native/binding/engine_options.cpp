// Turns the options that JS passes to an engine into plain structs (see arguments.h for what is checked). What
// may be missing depends on the device (kvBudgetBytes, maxBatchRows, microBatchTokens) or means by its absence
// that there is none (lora, ropeScaling, tokenBytes, absentTokens, excludedToken, referenceLogprobs, importanceWeights, stops
// and biases).
#include <cmath>
#include <limits>

#include "binding/arguments.h"
#include "binding/engine.h"

namespace hdpo {

namespace {

RopeScaling parseRopeScaling(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "config.ropeScaling");
  const Napi::Value type = object.Get("type");
  if (!type.IsString() || type.ToString().Utf8Value() != "llama3")
    throwType(value.Env(), "config.ropeScaling.type must be 'llama3'");
  RopeScaling scaling;
  scaling.factor = parseFloat(object, "config.ropeScaling.factor", 1, kAnyFloat);
  scaling.lowFrequencyFactor = parseFloat(object, "config.ropeScaling.lowFrequencyFactor", 0, kAnyFloat);
  scaling.highFrequencyFactor = parseFloat(object, "config.ropeScaling.highFrequencyFactor", 0, kAnyFloat);
  scaling.originalMaxPositions =
      parseInteger(object, "config.ropeScaling.originalMaxPositions", 1, int64_t{1} << 30);
  return scaling;
}

ModelConfig parseModelConfig(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "config");
  constexpr int64_t limit = int64_t{1} << 30;
  ModelConfig config;
  config.vocabSize = parseInteger(object, "config.vocabSize", 1, limit);
  config.hiddenSize = parseInteger(object, "config.hiddenSize", 1, limit);
  config.layers = parseInteger(object, "config.layers", 1, limit);
  config.heads = parseInteger(object, "config.heads", 1, limit);
  config.kvHeads = parseInteger(object, "config.kvHeads", 1, limit);
  config.headDim = parseInteger(object, "config.headDim", 1, limit);
  config.intermediateSize = parseInteger(object, "config.intermediateSize", 1, limit);
  config.maxPositions = parseInteger(object, "config.maxPositions", 1, limit);
  config.ropeTheta = parseFloat(object, "config.ropeTheta", 1, kAnyFloat);
  config.rmsNormEpsilon = parseFloat(object, "config.rmsNormEpsilon", 0, 1);
  config.tieEmbeddings = parseBoolean(object, "config.tieEmbeddings");
  config.qkvBias = parseBoolean(object, "config.qkvBias");
  config.qkNorm = parseBoolean(object, "config.qkNorm");
  if (!object.Get("ropeScaling").IsUndefined())
    config.ropeScaling = parseRopeScaling(object.Get("ropeScaling"));
  return config;
}

AdapterOptions parseAdapterOptions(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "lora");
  AdapterOptions options;
  options.rank = parseInteger(object, "lora.rank", 1, 1024);
  options.alpha = parseFloat(object, "lora.alpha", 0, kAnyFloat);
  options.dropout = parseFloat(object, "lora.dropout", 0, 1);
  options.rankStabilized = parseBoolean(object, "lora.rankStabilized");
  const Napi::Value targets = object.Get("targetModules");
  if (!targets.IsArray()) throwType(value.Env(), "lora.targetModules must be an array of projections");
  const std::vector<const char*> names(kTargetModuleNames.begin(), kTargetModuleNames.end());
  for (uint32_t i = 0; i < targets.As<Napi::Array>().Length(); ++i) {
    const Napi::Value target = targets.As<Napi::Array>().Get(i);
    options.targets[parseChoice(target, "lora.targetModules", names)] = true;
  }
  return options;
}

}  // namespace

DType parsePrecision(const Napi::Value& value, const char* name) {
  return parseChoice(value, name, {"float32", "bfloat16"}) == 1 ? DType::BFloat16 : DType::Float32;
}

EngineOptions parseEngineOptions(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "options");
  EngineOptions options;
  options.config = parseModelConfig(object.Get("config"));
  options.device = parseDevice(object.Get("device"));
  options.threads = static_cast<int>(parseInteger(object, "threads", 0, 1024));
  options.seed = static_cast<uint64_t>(parseInteger(object, "seed", 0, kAnyInteger));
  options.initialize = parseBoolean(object, "initialize");
  options.recompute = parseBoolean(object, "recompute");
  options.model.precision = parsePrecision(object.Get("precision"), "precision");
  options.model.trainable = parseBoolean(object, "trainable");
  const Napi::Value lora = object.Get("lora");
  if (!lora.IsUndefined()) options.model.adapter = parseAdapterOptions(lora);
  options.generation.format = parsePackedFormat(object.Get("generationPrecision"), "generationPrecision");
  options.generation.kvPrecision = parsePrecision(object.Get("kvPrecision"), "kvPrecision");
  options.generation.kvBudgetBytes = parseOptionalInteger(object, "kvBudgetBytes", 1, kAnyInteger);
  options.generation.maxBatchRows = parseOptionalInteger(object, "maxBatchRows", 1, 1 << 20);
  const Napi::Value absentTokens = object.Get("absentTokens");
  if (!absentTokens.IsUndefined())
    options.generation.absentTokens = parseTokens(absentTokens, "absentTokens", options.config);
  const Napi::Value tokenBytes = object.Get("tokenBytes");
  if (tokenBytes.IsUndefined()) return options;
  if (!tokenBytes.IsArray()) throwType(object.Env(), "tokenBytes must be an array of Uint8Array");
  const Napi::Array array = tokenBytes.As<Napi::Array>();
  options.tokenBytes.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const auto bytes = parseArray<uint8_t>(array.Get(i), "tokenBytes[i]");
    options.tokenBytes.emplace_back(bytes.begin(), bytes.end());
  }
  return options;
}

std::vector<int32_t> parseTokens(const Napi::Value& value, const char* name, const ModelConfig& config) {
  std::vector<int32_t> tokens = parseArray<int32_t>(value, name);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= config.vocabSize) {
      throwRange(value.Env(), std::string(name) + "[" + std::to_string(i) + "] is " +
                                  std::to_string(tokens[i]) + "; token ids run from 0 to " +
                                  std::to_string(config.vocabSize - 1));
    }
  }
  return tokens;
}

std::vector<int32_t> parseOffsets(const Napi::Value& value, size_t tokens, const ModelConfig& config) {
  std::vector<int32_t> offsets = parseArray<int32_t>(value, "offsets");
  if (offsets.size() < 2 || offsets.front() != 0 || static_cast<size_t>(offsets.back()) != tokens) {
    throwRange(value.Env(),
               "offsets must start at 0 and end at the number of tokens, " + std::to_string(tokens));
  }
  for (size_t i = 1; i < offsets.size(); ++i) {
    const int64_t length = static_cast<int64_t>(offsets[i]) - offsets[i - 1];
    if (length < 1 || length > config.maxPositions) {
      throwRange(value.Env(), "sequence " + std::to_string(i - 1) + " of offsets has " +
                                  std::to_string(length) + " tokens; 1 to " +
                                  std::to_string(config.maxPositions) + " are allowed");
    }
  }
  return offsets;
}

TrainingBatch parseTrainingBatch(const Napi::Value& value, const ModelConfig& config, bool policy) {
  const Napi::Object object = requireObject(value, "batch");
  TrainingBatch batch;
  batch.tokens = parseTokens(object.Get("tokens"), "tokens", config);
  batch.offsets = parseOffsets(object.Get("offsets"), batch.tokens.size(), config);
  const size_t tokens = batch.tokens.size(), sequences = batch.offsets.size() - 1;
  batch.mask = parseArray<uint8_t>(object.Get("mask"), "mask", tokens);
  for (size_t s = 0; s < sequences; ++s) {
    if (batch.mask[static_cast<size_t>(batch.offsets[s])] != 0) {
      throwRange(value.Env(), "mask is not 0 at the first token of sequence " + std::to_string(s) +
                                  ", which nothing predicts");
    }
  }
  if (!policy) {
    batch.excludedToken = static_cast<int32_t>(
        parseOptionalInteger(object, "excludedToken", 0, config.vocabSize - 1).value_or(-1));
    return batch;
  }
  batch.oldLogprobs = parseArray<float>(object.Get("oldLogprobs"), "oldLogprobs", tokens);
  if (!object.Get("referenceLogprobs").IsUndefined()) {
    batch.referenceLogprobs = parseArray<float>(object.Get("referenceLogprobs"), "referenceLogprobs", tokens);
  }
  batch.accuracyAdvantages =
      parseArray<float>(object.Get("accuracyAdvantages"), "accuracyAdvantages", sequences);
  batch.efficiencyAdvantages =
      parseArray<float>(object.Get("efficiencyAdvantages"), "efficiencyAdvantages", sequences);
  const Napi::Value weights = object.Get("importanceWeights");
  if (!weights.IsUndefined())
    batch.importanceWeights = parseArray<float>(weights, "importanceWeights", tokens);
  return batch;
}

OptimizerOptions parseOptimizerOptions(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "optimizer");
  OptimizerOptions options;
  options.learningRate = parseFloat(object, "optimizer.learningRate", 0, 1);
  options.beta1 = parseFloat(object, "optimizer.beta1", 0, 1);
  options.beta2 = parseFloat(object, "optimizer.beta2", 0, 1);
  options.epsilon = parseFloat(object, "optimizer.epsilon", 0, 1);
  options.weightDecay = parseFloat(object, "optimizer.weightDecay", 0, kAnyFloat);
  options.maxGradientNorm = parseFloat(object, "optimizer.maxGradientNorm", 0, kAnyFloat);
  options.microBatchTokens = parseOptionalInteger(object, "optimizer.microBatchTokens", 1, 1 << 30);
  return options;
}

SamplingOptions parseSamplingOptions(const Napi::Value& value, const ModelConfig& config) {
  const Napi::Object object = requireObject(value, "sampling");
  const Napi::Env env = value.Env();
  SamplingOptions options;
  options.maxTokens = parseInteger(object, "sampling.maxTokens", 1, 1 << 30);
  options.temperature = parseFloat(object, "sampling.temperature", 0, kAnyFloat);
  options.topP = parseFloat(object, "sampling.topP", 1e-6, 1);
  options.minP = parseFloat(object, "sampling.minP", 0, 1);
  options.topK = static_cast<int32_t>(parseInteger(object, "sampling.topK", 0, 1 << 30));
  options.seed = static_cast<uint64_t>(parseInteger(object, "sampling.seed", 0, kAnyInteger));
  const auto tokenId = [&](const Napi::Value& token, const char* name) {
    const int64_t id = token.IsNumber() ? token.As<Napi::Number>().Int64Value() : -1;
    if (id < 0 || id >= config.vocabSize)
      throwRange(env, std::string(name) + " holds a value that is no token id");
    return static_cast<int32_t>(id);
  };
  const auto list = [&](const char* name) {
    const Napi::Value given = object.Get(name);
    if (given.IsUndefined()) return Napi::Array::New(env, 0);
    if (!given.IsArray()) throwType(env, std::string(name) + " must be an array");
    return given.As<Napi::Array>();
  };
  const Napi::Array stopTokens = list("stopTokens"), stop = list("stop"), bias = list("logitBias");
  for (uint32_t i = 0; i < stopTokens.Length(); ++i) {
    options.stopTokens.push_back(tokenId(stopTokens.Get(i), "stopTokens"));
  }
  for (uint32_t i = 0; i < stop.Length(); ++i) {
    const Napi::Value text = stop.Get(i);
    if (!text.IsString() || text.ToString().Utf8Value().empty())
      throwType(env, "stop must hold non-empty strings");
    options.stopStrings.push_back(text.ToString().Utf8Value());
  }
  for (uint32_t i = 0; i < bias.Length(); ++i) {
    const Napi::Value pair = bias.Get(i);
    if (!pair.IsArray()) throwType(env, "logitBias must hold [token, bias] pairs");
    const Napi::Array entry = pair.As<Napi::Array>();
    const double amount = entry.Get(1u).ToNumber().DoubleValue();
    if (std::isnan(amount) || amount == std::numeric_limits<double>::infinity()) {
      throwRange(env, "logitBias must be a finite number or -Infinity");
    }
    options.logitBias.emplace_back(tokenId(entry.Get(0u), "logitBias"), static_cast<float>(amount));
  }
  return options;
}

}  // namespace hdpo
