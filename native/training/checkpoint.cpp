#include "training/checkpoint.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <vector>

#include "core/error.h"
#include "io/safetensors.h"

namespace hdpo {

namespace {

constexpr const char* kOptimizerFormat = "hdpo-adamw-1";

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  throw Error("ERR_CHECKPOINT", path + ": " + reason);
}

std::string describeShape(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

// At most the first few of many names, so that a wrong file gives a message and not a page.
std::string listNames(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) text += (i ? ", " : "") + names[i];
  return names.size() > kShown ? text + " and " + std::to_string(names.size() - kShown) + " more" : text;
}

std::vector<float> toHost(Backend& backend, const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.count()));
  backend.copyToHost(values.data(), tensor.data, tensor.bytes());
  return values;
}

float fromBFloat16(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value = 0;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

float fromHalf(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const float sign = bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) {
    return mantissa ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

std::vector<float> toFloat32(const SafetensorsEntry& entry) {
  const bool half = entry.dtype == "F16";
  std::vector<float> values(entry.bytes / 2);
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, entry.data + 2 * i, 2);
    values[i] = half ? fromHalf(bits) : fromBFloat16(bits);
  }
  return values;
}

bool sameContent(const SafetensorsEntry& a, const SafetensorsEntry& b) {
  return a.dtype == b.dtype && a.shape == b.shape && std::memcmp(a.data, b.data, a.bytes) == 0;
}

void checkNames(const SafetensorsFile& file, const Parameters& parameters, const std::string& path) {
  std::vector<std::string> missing, extra;
  std::set<std::string> expected;
  for (const ParameterEntry& entry : parameters.entries()) {
    expected.insert(entry.name);
    if (!file.entries().contains(entry.name)) missing.push_back(entry.name);
  }
  if (!missing.empty()) refuse(path, "missing tensors: " + listNames(missing));
  for (const auto& [name, entry] : file.entries()) {
    const bool tiedHead = parameters.config().tieEmbeddings && name == "lm_head.weight";
    if (tiedHead && !sameContent(entry, file.entries().at("model.embed_tokens.weight"))) {
      refuse(path,
             "lm_head.weight differs from model.embed_tokens.weight, but the model ties its embeddings");
    }
    if (!tiedHead && !expected.contains(name)) extra.push_back(name);
  }
  if (!extra.empty()) refuse(path, "tensors that the model does not have: " + listNames(extra));
}

void checkTensor(const SafetensorsEntry& found, const std::string& name, const std::vector<int64_t>& shape,
                 bool float32Only, const std::string& path) {
  const bool known =
      found.dtype == "F32" || (!float32Only && (found.dtype == "BF16" || found.dtype == "F16"));
  if (!known) {
    refuse(path, "tensor '" + name + "' has dtype " + found.dtype + "; allowed: F32" +
                     (float32Only ? "" : ", BF16, F16"));
  }
  if (found.shape != shape) {
    refuse(path, "tensor '" + name + "' has shape " + describeShape(found.shape) + ", but the model needs " +
                     describeShape(shape));
  }
}

// FNV-1a over names and shapes: optimiser state is flat, so it only fits a model whose layout is exactly the
// same.
std::string layoutFingerprint(const Parameters& parameters) {
  uint64_t hash = 14695981039346656037ull;
  const auto mix = [&hash](const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  };
  for (const ParameterEntry& entry : parameters.entries()) mix(entry.name + describeShape(entry.shape) + ";");
  return std::to_string(hash);
}

std::string metadataValue(const SafetensorsFile& file, const std::string& key, const std::string& path) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) refuse(path, "the metadata has no '" + key + "'");
  return found->second;
}

int64_t parseStep(const std::string& text, const std::string& path) {
  int64_t step = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc() || end != text.data() + text.size() || step < 0) {
    refuse(path, "the metadata's step is '" + text + "', not a number of steps");
  }
  return step;
}

}  // namespace

void saveWeights(Backend& backend, const Parameters& parameters, const std::string& path) {
  const std::vector<float> values = toHost(backend, parameters.flat());
  std::vector<SafetensorsWrite> tensors;
  for (const ParameterEntry& entry : parameters.entries()) {
    const size_t bytes = static_cast<size_t>(entry.count) * sizeof(float);
    tensors.push_back({entry.name, "F32", entry.shape, values.data() + entry.offset, bytes});
  }
  writeSafetensors(path, tensors, {{"format", "pt"}});  // what transformers' loader asks for
}

void loadWeights(Backend& backend, Parameters& parameters, const std::string& path) {
  const SafetensorsFile file(path);
  checkNames(file, parameters, path);
  for (const ParameterEntry& entry : parameters.entries()) {
    checkTensor(file.entries().at(entry.name), entry.name, entry.shape, false, path);
  }
  for (const ParameterEntry& entry : parameters.entries()) {
    const SafetensorsEntry& found = file.entries().at(entry.name);
    const Tensor destination = parameters.view(entry);
    if (found.dtype == "F32") {
      backend.copyFromHost(destination.data, found.data, found.bytes);
    } else {
      const std::vector<float> values = toFloat32(found);
      backend.copyFromHost(destination.data, values.data(), destination.bytes());
    }
  }
}

void saveOptimizer(Backend& backend, const Parameters& momentum, const Parameters& variance, int64_t step,
                   const std::string& path) {
  const std::vector<float> first = toHost(backend, momentum.flat()),
                           second = toHost(backend, variance.flat());
  const size_t bytes = first.size() * sizeof(float);
  writeSafetensors(path,
                   {{"momentum", "F32", {momentum.count()}, first.data(), bytes},
                    {"variance", "F32", {variance.count()}, second.data(), bytes}},
                   {{"format", kOptimizerFormat},
                    {"step", std::to_string(step)},
                    {"layout", layoutFingerprint(momentum)}});
}

int64_t loadOptimizer(Backend& backend, Parameters& momentum, Parameters& variance, const std::string& path) {
  const SafetensorsFile file(path);
  if (metadataValue(file, "format", path) != kOptimizerFormat) refuse(path, "not an optimiser state of hdpo");
  if (metadataValue(file, "layout", path) != layoutFingerprint(momentum)) {
    refuse(path, "the optimiser state belongs to a model of another shape");
  }
  const int64_t step = parseStep(metadataValue(file, "step", path), path);
  for (const auto& [name, entry] : file.entries()) {
    if (name != "momentum" && name != "variance") refuse(path, "an unexpected tensor '" + name + "'");
  }
  for (const char* name : {"momentum", "variance"}) {
    if (!file.entries().contains(name)) refuse(path, std::string("missing tensor '") + name + "'");
    checkTensor(file.entries().at(name), name, {momentum.count()}, true, path);
  }
  backend.copyFromHost(momentum.flat().data, file.entries().at("momentum").data, momentum.flat().bytes());
  backend.copyFromHost(variance.flat().data, file.entries().at("variance").data, variance.flat().bytes());
  return step;
}

}  // namespace hdpo
