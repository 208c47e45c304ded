// Converts JS values to plain C++ ones, and errors back. Wrong types throw TypeError and wrong values
// RangeError; both name the argument. lib/ has already checked arguments, with messages for people, and has
// filled in every default that is a constant: an option that is missing here is a mistake of ours. What could
// make native code read out of bounds or run for ever is checked again.
//
// The name of an option may say what it belongs to, "loss.clipLow"; the property is what follows the last dot.
#pragma once

#include <cstdint>
#include <exception>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "binding/napi.h"
#include "ops/device.h"
#include "ops/policy_loss.h"

namespace hdpo {

// An hdpo::Error becomes a JS Error with its code. Running out of memory becomes ERR_OUT_OF_MEMORY, anything
// else ERR_INTERNAL. An error that JS threw stays as it is.
Napi::Error toJsError(Napi::Env env, std::exception_ptr error);

[[noreturn]] void throwType(Napi::Env env, const std::string& message);
[[noreturn]] void throwRange(Napi::Env env, const std::string& message);

constexpr double kAnyFloat = std::numeric_limits<float>::max();
constexpr int64_t kAnyInteger = int64_t{1} << 53;

Napi::Object requireObject(const Napi::Value& value, const char* name);
std::string parseString(const Napi::Value& value, const char* name);
// Properties inside [low, high].
double parseNumber(const Napi::Object& object, const char* name, double low, double high);
float parseFloat(const Napi::Object& object, const char* name, double low, double high);
int64_t parseInteger(const Napi::Object& object, const char* name, int64_t low, int64_t high);
// Holds no value where the property is undefined.
std::optional<int64_t> parseOptionalInteger(const Napi::Object& object, const char* name, int64_t low,
                                            int64_t high);
bool parseBoolean(const Napi::Object& object, const char* name);
// The index in `names` of the given name.
size_t parseChoice(const Napi::Value& value, const char* name, const std::vector<const char*>& names);
// The format in which generation packs weights: 'float32', 'bfloat16' or 'int8'.
PackedFormat parsePackedFormat(const Napi::Value& value, const char* name);
Device parseDevice(const Napi::Value& value);

// Reads the options of the loss: clipping, weights and coefficients, and how tokens are aggregated.
PolicyLossOptions parsePolicyLossOptions(const Napi::Value& value);
Aggregation parseAggregation(const Napi::Value& value);

constexpr size_t kAnyLength = std::numeric_limits<size_t>::max();

template <class Element>
struct TypedArrayName;
template <>
struct TypedArrayName<float> {
  static constexpr const char* kName = "Float32Array";
  static constexpr napi_typedarray_type kType = napi_float32_array;
};
template <>
struct TypedArrayName<int32_t> {
  static constexpr const char* kName = "Int32Array";
  static constexpr napi_typedarray_type kType = napi_int32_array;
};
template <>
struct TypedArrayName<uint8_t> {
  static constexpr const char* kName = "Uint8Array";
  static constexpr napi_typedarray_type kType = napi_uint8_array;
};

// A view of JS memory.
template <class Element>
Napi::TypedArrayOf<Element> requireTypedArray(const Napi::Value& value, const char* name,
                                              size_t length = kAnyLength) {
  using Name = TypedArrayName<Element>;
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != Name::kType) {
    throwType(value.Env(), std::string(name) + " must be a " + Name::kName);
  }
  const auto array = value.As<Napi::TypedArrayOf<Element>>();
  if (length != kAnyLength && array.ElementLength() != length) {
    throwRange(value.Env(), std::string(name) + " must have " + std::to_string(length) + " elements, got " +
                                std::to_string(array.ElementLength()));
  }
  return array;
}

// A copy of JS memory.
template <class Element>
std::vector<Element> parseArray(const Napi::Value& value, const char* name, size_t length = kAnyLength) {
  const auto array = requireTypedArray<Element>(value, name, length);
  return std::vector<Element>(array.Data(), array.Data() + array.ElementLength());
}

}  // namespace hdpo
