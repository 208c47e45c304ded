#include "binding/arguments.h"

#include <array>
#include <cmath>
#include <cstring>
#include <new>

#include "core/error.h"

namespace hdpo {

namespace {

Napi::Error errorWithCode(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

// "loss.clipLow" -> "clipLow"
const char* propertyOf(const char* name) {
  const char* dot = std::strrchr(name, '.');
  return dot ? dot + 1 : name;
}

}  // namespace

Napi::Error toJsError(Napi::Env env, std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const Napi::Error& thrown) {
    return thrown;
  } catch (const Error& thrown) {
    return errorWithCode(env, thrown.code(), thrown.what());
  } catch (const std::bad_alloc&) {
    return errorWithCode(env, "ERR_OUT_OF_MEMORY", "out of memory");
  } catch (const std::exception& thrown) {
    return errorWithCode(env, "ERR_INTERNAL", thrown.what());
  } catch (...) {
    return errorWithCode(env, "ERR_INTERNAL", "an unknown error in native code");
  }
}

void throwType(Napi::Env env, const std::string& message) { throw Napi::TypeError::New(env, message); }
void throwRange(Napi::Env env, const std::string& message) { throw Napi::RangeError::New(env, message); }

Napi::Object requireObject(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) throwType(value.Env(), std::string(name) + " must be an object");
  return value.As<Napi::Object>();
}

std::string parseString(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throwType(value.Env(), std::string(name) + " must be a string");
  return value.As<Napi::String>().Utf8Value();
}

double parseNumber(const Napi::Object& object, const char* name, double low, double high) {
  const Napi::Value value = object.Get(propertyOf(name));
  if (!value.IsNumber()) throwType(object.Env(), std::string(name) + " must be a number");
  const double given = value.As<Napi::Number>().DoubleValue();
  if (!(given >= low && given <= high)) {
    throwRange(object.Env(), std::string(name) + " must be between " + std::to_string(low) + " and " +
                                 std::to_string(high) + ", got " + std::to_string(given));
  }
  return given;
}

float parseFloat(const Napi::Object& object, const char* name, double low, double high) {
  return static_cast<float>(parseNumber(object, name, low, high));
}

int64_t parseInteger(const Napi::Object& object, const char* name, int64_t low, int64_t high) {
  const double given = parseNumber(object, name, static_cast<double>(low), static_cast<double>(high));
  if (given != std::floor(given)) throwRange(object.Env(), std::string(name) + " must be an integer");
  return static_cast<int64_t>(given);
}

std::optional<int64_t> parseOptionalInteger(const Napi::Object& object, const char* name, int64_t low,
                                            int64_t high) {
  if (object.Get(propertyOf(name)).IsUndefined()) return std::nullopt;
  return parseInteger(object, name, low, high);
}

bool parseBoolean(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(propertyOf(name));
  if (!value.IsBoolean()) throwType(object.Env(), std::string(name) + " must be true or false");
  return value.As<Napi::Boolean>().Value();
}

size_t parseChoice(const Napi::Value& value, const char* name, const std::vector<const char*>& names) {
  const std::string given = value.IsString() ? value.ToString().Utf8Value() : "";
  std::string allowed;
  for (size_t i = 0; i < names.size(); ++i) {
    if (given == names[i]) return i;
    allowed += (i ? ", '" : "'") + std::string(names[i]) + "'";
  }
  throwType(value.Env(), std::string(name) + " must be one of " + allowed);
}

PackedFormat parsePackedFormat(const Napi::Value& value, const char* name) {
  constexpr std::array<PackedFormat, 3> formats = {PackedFormat::Float32, PackedFormat::BFloat16,
                                                   PackedFormat::Int8};
  return formats[parseChoice(value, name, {"float32", "bfloat16", "int8"})];
}

Device parseDevice(const Napi::Value& value) {
  constexpr std::array<Device, 3> devices = {Device::Cpu, Device::Cuda, Device::Auto};
  return devices[parseChoice(value, "device", {"cpu", "cuda", "auto"})];
}

PolicyLossOptions parsePolicyLossOptions(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "loss");
  PolicyLossOptions options;
  options.temperature = parseFloat(object, "loss.temperature", 1e-6, kAnyFloat);
  options.clipLow = parseFloat(object, "loss.clipLow", 0, 1);
  options.clipHigh = parseFloat(object, "loss.clipHigh", 0, kAnyFloat);
  options.dualClip = parseFloat(object, "loss.dualClip", 1, kAnyFloat);
  options.accuracyWeight = parseFloat(object, "loss.accuracyWeight", 0, kAnyFloat);
  options.efficiencyWeight = parseFloat(object, "loss.efficiencyWeight", 0, kAnyFloat);
  options.klCoefficient = parseFloat(object, "loss.klCoefficient", 0, kAnyFloat);
  options.entropyCoefficient = parseFloat(object, "loss.entropyCoefficient", -kAnyFloat, kAnyFloat);
  return options;
}

Aggregation parseAggregation(const Napi::Value& value) {
  constexpr std::array<Aggregation, 3> aggregations = {
      Aggregation::TokenMean, Aggregation::SequenceMeanTokenMean, Aggregation::SequenceMeanTokenSum};
  const Napi::Value given = requireObject(value, "loss").Get("aggregation");
  return aggregations[parseChoice(given, "loss.aggregation",
                                  {"token-mean", "seq-mean-token-mean", "seq-mean-token-sum"})];
}

}  // namespace hdpo
