#include "training/optimizer_file.h"

#include <charconv>

#include "core/error.h"
#include "io/safetensors.h"
#include "training/tensor_files.h"

namespace hdpo {

namespace {

constexpr const char* kOptimizerFormat = "hdpo-adamw-1";

// FNV-1a over names and shapes. Optimiser state is flat, so it only fits a model with exactly the same
// layout.
std::string layoutFingerprint(const ParameterSet& parameters) {
  uint64_t hash = 14695981039346656037ull;
  const auto mix = [&hash](const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  };
  for (const ParameterEntry& entry : parameters.entries()) mix(entry.name + describeShape(entry.shape) + ";");
  return std::to_string(hash);
}

std::string metadataValue(const SafetensorsFile& file, const std::string& key, const std::string& path) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) refuseFile(path, "the metadata has no '" + key + "'");
  return found->second;
}

int64_t parseStep(const std::string& text, const std::string& path) {
  int64_t step = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc() || end != text.data() + text.size() || step < 0) {
    refuseFile(path, "the metadata's step is '" + text + "', not a number of steps");
  }
  return step;
}

}  // namespace

void saveOptimizer(const ParameterSet& momentum, const ParameterSet& variance, int64_t step,
                   const std::string& path) {
  const size_t bytes = momentum.flat().bytes();
  SafetensorsWriter writer(path,
                           {{"momentum", "F32", {momentum.count()}, nullptr, bytes},
                            {"variance", "F32", {variance.count()}, nullptr, bytes}},
                           {{"format", kOptimizerFormat},
                            {"step", std::to_string(step)},
                            {"layout", layoutFingerprint(momentum)}});
  for (const ParameterSet* values : {&momentum, &variance}) {
    appendTensor(writer, values->backend(), values->flat(), DType::Float32);
  }
  writer.finish();
}

int64_t loadOptimizer(ParameterSet& momentum, ParameterSet& variance, const std::string& path) {
  const SafetensorsFile file(path);
  if (metadataValue(file, "format", path) != kOptimizerFormat)
    refuseFile(path, "not an optimiser state of hdpo");
  if (metadataValue(file, "layout", path) != layoutFingerprint(momentum)) {
    refuseFile(path, "the optimiser state belongs to a model of another shape");
  }
  const int64_t step = parseStep(metadataValue(file, "step", path), path);
  for (const auto& [name, entry] : file.entries()) {
    if (name != "momentum" && name != "variance") refuseFile(path, "an unexpected tensor '" + name + "'");
  }
  for (const char* name : {"momentum", "variance"}) {
    if (!file.entries().contains(name)) refuseFile(path, std::string("missing tensor '") + name + "'");
    checkTensor(file.entries().at(name), name, {momentum.count()}, true, path);
  }
  const std::string names[] = {"momentum", "variance"};
  for (const std::string& name : names) requireFinite({file, name, file.entries().at(name)}, DType::Float32);
  try {
    readTensor(momentum.backend(), momentum.flat(), {file, names[0], file.entries().at(names[0])});
    readTensor(variance.backend(), variance.flat(), {file, names[1], file.entries().at(names[1])});
  } catch (const Error& error) {
    throw PartlyLoaded(error.code(), error.what());
  }
  return step;
}

}  // namespace hdpo
