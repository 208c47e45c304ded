#include "binding/arguments.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <new>

#include "core/error.h"

namespace hdpo {

namespace {

Napi::Error errorWithCode(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
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

double parseNumber(const Napi::Object& object, const char* name, double fallback, double low, double high) {
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

int64_t parseInteger(const Napi::Object& object, const char* name, int64_t fallback, int64_t low,
                     int64_t high) {
  const double given = parseNumber(object, name, static_cast<double>(fallback), static_cast<double>(low),
                                   static_cast<double>(high));
  if (given != std::floor(given)) throwRange(object.Env(), std::string(name) + " must be an integer");
  return static_cast<int64_t>(given);
}

std::optional<int64_t> parseOptionalInteger(const Napi::Object& object, const char* name, int64_t low,
                                            int64_t high) {
  if (object.Get(name).IsUndefined()) return std::nullopt;
  return parseInteger(object, name, low, low, high);
}

bool parseBoolean(const Napi::Object& object, const char* name, bool fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsUndefined() ? fallback : value.ToBoolean().Value();
}

size_t parseChoice(const Napi::Value& value, const char* name, const std::vector<const char*>& names,
                   size_t fallback) {
  if (value.IsUndefined()) return fallback;
  const std::string given = value.IsString() ? value.ToString().Utf8Value() : "";
  std::string allowed;
  for (size_t i = 0; i < names.size(); ++i) {
    if (given == names[i]) return i;
    allowed += (i ? ", '" : "'") + std::string(names[i]) + "'";
  }
  throwType(value.Env(), std::string(name) + " must be one of " + allowed);
}

PackedFormat parsePackedFormat(const Napi::Value& value, const char* name, PackedFormat fallback) {
  constexpr std::array<PackedFormat, 3> formats = {PackedFormat::Float32, PackedFormat::BFloat16,
                                                   PackedFormat::Int8};
  const size_t place =
      static_cast<size_t>(std::find(formats.begin(), formats.end(), fallback) - formats.begin());
  return formats[parseChoice(value, name, {"float32", "bfloat16", "int8"}, place)];
}

Device parseDevice(const Napi::Value& value) {
  constexpr std::array<Device, 3> devices = {Device::Cpu, Device::Cuda, Device::Auto};
  return devices[parseChoice(value, "device", {"cpu", "cuda", "auto"}, 0)];
}

PolicyLossOptions parsePolicyLossOptions(const Napi::Value& value) {
  const Napi::Object object = requireObject(value, "loss");
  PolicyLossOptions options;
  const auto set = [&object](float& option, const char* name, double low, double high) {
    option = static_cast<float>(parseNumber(object, name, option, low, high));
  };
  set(options.temperature, "temperature", 1e-6, kAnyFloat);
  set(options.clipLow, "clipLow", 0, 1);
  set(options.clipHigh, "clipHigh", 0, kAnyFloat);
  set(options.dualClip, "dualClip", 1, kAnyFloat);
  set(options.accuracyWeight, "accuracyWeight", 0, kAnyFloat);
  set(options.efficiencyWeight, "efficiencyWeight", 0, kAnyFloat);
  set(options.klCoefficient, "klCoefficient", 0, kAnyFloat);
  set(options.entropyCoefficient, "entropyCoefficient", -kAnyFloat, kAnyFloat);
  return options;
}

Aggregation parseAggregation(const Napi::Value& value) {
  const Napi::Value given = requireObject(value, "loss").Get("aggregation");
  if (given.IsUndefined()) return Aggregation::TokenMean;
  const std::string name = parseString(given, "aggregation");
  if (name == "token-mean") return Aggregation::TokenMean;
  if (name == "seq-mean-token-mean") return Aggregation::SequenceMeanTokenMean;
  if (name == "seq-mean-token-sum") return Aggregation::SequenceMeanTokenSum;
  throwRange(value.Env(),
             "aggregation must be token-mean, seq-mean-token-mean or seq-mean-token-sum, got " + name);
}

}  // namespace hdpo
