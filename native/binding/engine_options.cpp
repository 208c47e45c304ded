// What JS passes to an engine, turned into plain structs. lib/ has checked it for people; here everything is
// checked again that could make native code read out of bounds or run for ever.
#include <cmath>
#include <limits>

#include "binding/arguments.h"
#include "binding/engine.h"

namespace hdpo {

namespace {

[[noreturn]] void throwType(Napi::Env env, const std::string& message) {
  throw Napi::TypeError::New(env, message);
}
[[noreturn]] void throwRange(Napi::Env env, const std::string& message) {
  throw Napi::RangeError::New(env, message);
}

Napi::Object requireObject(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) throwType(value.Env(), std::string(name) + " must be an object");
  return value.As<Napi::Object>();
}

// A number inside [low, high]; `fallback` where the property is undefined.
double number(const Napi::Object& object, const char* name, double fallback, double low, double high) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return fallback;
  if (!value.IsNumber()) throwType(object.Env(), std::string(name) + " must be a number");
  const double given = value.As<Napi::Number>().DoubleValue();
  if (!(given >= low && given <= high)) {
    throwRange(object.Env(), std::string(name) + " must be between " + std::to_string(low) + " and " +
                                 std::to_string(high) + ", got " + std::to_string(given));
  }
  return given;
}

int64_t integer(const Napi::Object& object, const char* name, int64_t fallback, int64_t low, int64_t high) {
  const double given = number(object, name, static_cast<double>(fallback), static_cast<double>(low),
                              static_cast<double>(high));
  if (given != std::floor(given)) throwRange(object.Env(), std::string(name) + " must be an integer");
  return static_cast<int64_t>(given);
}

bool boolean(const Napi::Object& object, const char* name, bool fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsUndefined() ? fallback : value.ToBoolean().Value();
}

constexpr double anyFloat = std::numeric_limits<float>::max();
constexpr int64_t anyInteger = int64_t{1} << 53;

template <class Element>
std::vector<Element> typedArray(const Napi::Value& value, const char* name, napi_typedarray_type type,
                                const char* typeName, size_t expectedLength) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    throwType(value.Env(), std::string(name) + " must be a " + typeName);
  }
  const auto array = value.As<Napi::TypedArrayOf<Element>>();
  if (expectedLength != SIZE_MAX && array.ElementLength() != expectedLength) {
    throwRange(value.Env(), std::string(name) + " must have " + std::to_string(expectedLength) +
                                " elements, got " + std::to_string(array.ElementLength()));
  }
  return std::vector<Element>(array.Data(), array.Data() + array.ElementLength());
}

std::vector<float> floats(const Napi::Object& batch, const char* name, size_t length) {
  return typedArray<float>(batch.Get(name), name, napi_float32_array, "Float32Array", length);
}

ModelConfig parseModelConfig(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "config");
  constexpr int64_t limit = int64_t{1} << 30;
  ModelConfig config;
  config.vocabSize = integer(object, "vocabSize", 0, 1, limit);
  config.hiddenSize = integer(object, "hiddenSize", 0, 1, limit);
  config.layers = integer(object, "layers", 0, 1, limit);
  config.heads = integer(object, "heads", 0, 1, limit);
  config.kvHeads = integer(object, "kvHeads", 0, 1, limit);
  config.headDim = integer(object, "headDim", 0, 1, limit);
  config.intermediateSize = integer(object, "intermediateSize", 0, 1, limit);
  config.maxPositions = integer(object, "maxPositions", config.maxPositions, 1, limit);
  config.ropeTheta = static_cast<float>(number(object, "ropeTheta", config.ropeTheta, 1, anyFloat));
  config.rmsNormEpsilon = static_cast<float>(number(object, "rmsNormEpsilon", config.rmsNormEpsilon, 0, 1));
  config.tieEmbeddings = boolean(object, "tieEmbeddings", config.tieEmbeddings);
  config.qkvBias = boolean(object, "qkvBias", config.qkvBias);
  config.qkNorm = boolean(object, "qkNorm", config.qkNorm);
  return config;
}

}  // namespace

EngineOptions parseEngineOptions(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "options");
  EngineOptions options;
  options.config = parseModelConfig(object.Get("config"));
  options.threads = static_cast<int>(integer(object, "threads", 0, 0, 1024));
  options.seed = static_cast<uint64_t>(integer(object, "seed", 0, 0, anyInteger));
  options.recompute = boolean(object, "recompute", false);
  options.generation.kvBudgetBytes = static_cast<size_t>(integer(
      object, "kvBudgetBytes", static_cast<int64_t>(options.generation.kvBudgetBytes), 1, anyInteger));
  options.generation.maxBatchRows =
      integer(object, "maxBatchRows", options.generation.maxBatchRows, 1, 1 << 20);
  const Napi::Value tokenBytes = object.Get("tokenBytes");
  if (tokenBytes.IsUndefined()) return options;
  if (!tokenBytes.IsArray()) throwType(object.Env(), "tokenBytes must be an array of Uint8Array");
  const Napi::Array array = tokenBytes.As<Napi::Array>();
  options.tokenBytes.reserve(array.Length());
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const auto bytes =
        typedArray<uint8_t>(array.Get(i), "tokenBytes[i]", napi_uint8_array, "Uint8Array", SIZE_MAX);
    options.tokenBytes.emplace_back(bytes.begin(), bytes.end());
  }
  return options;
}

std::vector<int32_t> parseTokens(const Napi::Value& value, const char* name, const ModelConfig& config) {
  std::vector<int32_t> tokens = typedArray<int32_t>(value, name, napi_int32_array, "Int32Array", SIZE_MAX);
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
  std::vector<int32_t> offsets =
      typedArray<int32_t>(value, "offsets", napi_int32_array, "Int32Array", SIZE_MAX);
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
  batch.mask = typedArray<uint8_t>(object.Get("mask"), "mask", napi_uint8_array, "Uint8Array", tokens);
  for (size_t s = 0; s < sequences; ++s) {
    if (batch.mask[static_cast<size_t>(batch.offsets[s])] != 0) {
      throwRange(value.Env(), "mask is 1 at the first token of sequence " + std::to_string(s) +
                                  ", which nothing predicts");
    }
  }
  if (!policy) return batch;
  batch.oldLogprobs = floats(object, "oldLogprobs", tokens);
  if (!object.Get("referenceLogprobs").IsUndefined()) {
    batch.referenceLogprobs = floats(object, "referenceLogprobs", tokens);
  }
  batch.accuracyAdvantages = floats(object, "accuracyAdvantages", sequences);
  batch.efficiencyAdvantages = floats(object, "efficiencyAdvantages", sequences);
  return batch;
}

OptimizerOptions parseOptimizerOptions(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "optimizer");
  if (!object.Get("learningRate").IsNumber())
    throwType(value.Env(), "optimizer.learningRate must be a number");
  OptimizerOptions options;
  options.learningRate = static_cast<float>(number(object, "learningRate", 0, 0, 1));
  options.beta1 = static_cast<float>(number(object, "beta1", options.beta1, 0, 1));
  options.beta2 = static_cast<float>(number(object, "beta2", options.beta2, 0, 1));
  options.epsilon = static_cast<float>(number(object, "epsilon", options.epsilon, 0, 1));
  options.weightDecay = static_cast<float>(number(object, "weightDecay", options.weightDecay, 0, anyFloat));
  options.maxGradientNorm =
      static_cast<float>(number(object, "maxGradientNorm", options.maxGradientNorm, 0, anyFloat));
  options.microBatchTokens = integer(object, "microBatchTokens", options.microBatchTokens, 1, 1 << 30);
  return options;
}

PolicyLossOptions parsePolicyLossOptions(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "loss");
  PolicyLossOptions options;
  options.temperature =
      static_cast<float>(number(object, "temperature", options.temperature, 1e-6, anyFloat));
  options.clipLow = static_cast<float>(number(object, "clipLow", options.clipLow, 0, 1));
  options.clipHigh = static_cast<float>(number(object, "clipHigh", options.clipHigh, 0, anyFloat));
  options.dualClip = static_cast<float>(number(object, "dualClip", options.dualClip, 1, anyFloat));
  options.accuracyWeight =
      static_cast<float>(number(object, "accuracyWeight", options.accuracyWeight, 0, anyFloat));
  options.efficiencyWeight =
      static_cast<float>(number(object, "efficiencyWeight", options.efficiencyWeight, 0, anyFloat));
  options.klCoefficient =
      static_cast<float>(number(object, "klCoefficient", options.klCoefficient, 0, anyFloat));
  options.entropyCoefficient = static_cast<float>(
      number(object, "entropyCoefficient", options.entropyCoefficient, -anyFloat, anyFloat));
  return options;
}

Aggregation parseAggregation(const Napi::Value& value) {
  const Napi::Value given = requireObject(value, "loss").Get("aggregation");
  if (given.IsUndefined()) return Aggregation::TokenMean;
  const std::string name = given.ToString().Utf8Value();
  if (name == "token-mean") return Aggregation::TokenMean;
  if (name == "seq-mean-token-mean") return Aggregation::SequenceMeanTokenMean;
  if (name == "seq-mean-token-sum") return Aggregation::SequenceMeanTokenSum;
  throwRange(value.Env(),
             "aggregation must be token-mean, seq-mean-token-mean or seq-mean-token-sum, got " + name);
}

SamplingOptions parseSamplingOptions(const Napi::Value& value, const ModelConfig& config) {
  const Napi::Object object = requireObject(value, "options");
  const Napi::Env env = value.Env();
  SamplingOptions options;
  options.maxTokens = integer(object, "maxTokens", options.maxTokens, 1, 1 << 30);
  options.temperature = static_cast<float>(number(object, "temperature", options.temperature, 0, anyFloat));
  options.topP = static_cast<float>(number(object, "topP", options.topP, 1e-6, 1));
  options.minP = static_cast<float>(number(object, "minP", options.minP, 0, 1));
  options.topK = static_cast<int32_t>(integer(object, "topK", options.topK, 0, 1 << 30));
  options.seed = static_cast<uint64_t>(integer(object, "seed", 0, 0, anyInteger));
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
