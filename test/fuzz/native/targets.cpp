#include "targets.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "io/safetensors.h"
#include "io/safetensors_header.h"
#include "ops/backend.h"
#include "ops/device.h"
#include "small_models.h"
#include "temporary_folder.h"
#include "training/learner.h"
#include "training/memory_plan.h"
#include "training/optimizer_file.h"
#include "training/weight_files.h"

namespace hdpo::fuzz {

namespace {

enum class Reader : uint8_t { Header, Weights, Adapter, Optimizer, Config };
constexpr int kReaders = 5;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "\nthis must hold, and does not: %s\n", what);
  std::abort();
}

AdapterOptions smallAdapter() {
  AdapterOptions options;
  options.rank = 2;
  options.alpha = 4;
  options.targets[0] = options.targets[6] = true;
  return options;
}

// One small model with its optimiser's state, into which files are loaded.
struct Loaded {
  TemporaryFolder folder;
  std::string path = folder.file("input");
  std::unique_ptr<Backend> backend = createCpuBackend(1);
  ModelWeights model{*backend, smallConfig(), {DType::Float32, smallAdapter(), true}};
  ParameterSet momentum{*backend, parameterEntries(smallConfig()), DType::Float32};
  ParameterSet variance{*backend, parameterEntries(smallConfig()), DType::Float32};

  Loaded() {
    model.initialize(1);
    model.adapter()->initialize(2);
  }
};

Loaded& loaded() {
  static Loaded instance;
  return instance;
}

std::vector<float> valuesOf(const ParameterSet& set) {
  const Tensor flat = set.flat();
  return {flat.f32(), flat.f32() + set.count()};
}

void readHeader(std::string_view text) {
  SafetensorsHeader header;
  try {
    header = parseSafetensorsHeader(text);
  } catch (const SafetensorsHeaderError&) {
    return;
  }
  for (const SafetensorsHeader::Tensor& tensor : header.tensors) {
    check(safetensorsBytes(tensor.dtype, tensor.shape) == tensor.end - tensor.begin,
          "a tensor has the bytes of its shape");
  }
  const SafetensorsHeader again = parseSafetensorsHeader(writeSafetensorsHeader(header));
  check(again.metadata == header.metadata && again.tensors.size() == header.tensors.size(),
        "what was read is written and read again");
  for (size_t i = 0; i < again.tensors.size(); ++i) {
    check(
        again.tensors[i].name == header.tensors[i].name && again.tensors[i].shape == header.tensors[i].shape,
        "tensors keep their names and shapes");
  }
}

// Runs a load; one that is refused leaves the values as they were, one that is not leaves finite ones.
template <class Load>
void loadInto(std::initializer_list<const ParameterSet*> sets, std::string_view file, Load load) {
  writeFile(loaded().path, std::string(file));
  std::vector<std::vector<float>> before;
  for (const ParameterSet* set : sets) before.push_back(valuesOf(*set));
  bool refused = false;
  try {
    load(loaded().path);
  } catch (const Error& error) {
    check(error.code() == "ERR_CHECKPOINT", "a file is refused with ERR_CHECKPOINT");
    check(std::strstr(error.what(), loaded().path.c_str()) == error.what(), "a refusal names the file");
    refused = true;
  }
  size_t index = 0;
  for (const ParameterSet* set : sets) {
    const std::vector<float> after = valuesOf(*set);
    if (refused) check(after == before[index], "a refused file changes nothing");
    for (const float value : after) check(std::isfinite(value), "all loaded values are finite");
    ++index;
  }
}

// Nine numbers of eight bytes.
void readConfig(std::string_view bytes) {
  int64_t numbers[9] = {};
  std::memcpy(numbers, bytes.data(), std::min(bytes.size(), sizeof numbers));
  ModelConfig config = smallConfig();
  config.vocabSize = numbers[0];
  config.hiddenSize = numbers[1];
  config.layers = numbers[2];
  config.heads = numbers[3];
  config.kvHeads = numbers[4];
  config.headDim = numbers[5];
  config.intermediateSize = numbers[6];
  config.maxPositions = numbers[7];
  config.tieEmbeddings = numbers[8] & 1;
  config.qkvBias = numbers[8] & 2;
  config.qkNorm = numbers[8] & 4;
  try {
    validate(config);
  } catch (const Error& error) {
    check(error.code() == "ERR_CONFIG", "sizes are refused with ERR_CONFIG");
    return;
  }
  int64_t end = 0;
  for (const ParameterEntry& entry : parameterEntries(config)) {
    check(entry.count > 0 && entry.offset == end, "tensors lie end to end");
    check(!__builtin_add_overflow(end, entry.count, &end) && end < INT64_MAX / 64,
          "a model's size is no overflow");
  }
  check(planModel(config, {}).total() >= static_cast<size_t>(end) * 4, "a plan holds the weights");
}

void run(Reader reader, std::string_view input) {
  Loaded& into = loaded();
  switch (reader) {
    case Reader::Header:
      return readHeader(input);
    case Reader::Weights:
      return loadInto({&into.model.weights()}, input,
                      [&](const std::string& path) { loadWeights(into.model, {path}); });
    case Reader::Adapter:
      return loadInto({into.model.adapter()}, input,
                      [&](const std::string& path) { loadAdapter(*into.model.adapter(), path); });
    case Reader::Optimizer:
      return loadInto({&into.momentum, &into.variance}, input,
                      [&](const std::string& path) { loadOptimizer(into.momentum, into.variance, path); });
    case Reader::Config:
      return readConfig(input);
  }
}

std::string seedFor(Reader reader, const std::string& content) {
  return std::string(1, static_cast<char>(reader)) + content;
}

}  // namespace

std::vector<std::string> seeds() {
  Loaded& into = loaded();
  saveWeights(into.model, into.path, {});
  const std::string weights = readFile(into.path);
  saveWeights(into.model, into.path, {DType::BFloat16, UINT64_MAX});
  const std::string half = readFile(into.path);
  saveAdapter(*into.model.adapter(), into.path);
  const std::string adapter = readFile(into.path);
  saveOptimizer(into.momentum, into.variance, 3, into.path);
  const std::string optimizer = readFile(into.path);
  uint64_t headerBytes = 0;
  std::memcpy(&headerBytes, weights.data(), sizeof headerBytes);
  const int64_t sizes[9] = {13, 8, 2, 2, 2, 4, 12, 64, 7};
  return {
      seedFor(Reader::Header, weights.substr(8, headerBytes)),
      seedFor(
          Reader::Header,
          R"({"__metadata__":{"a":"\u0041\ud83d\ude00\n"},"x":{"dtype":"F8_E4M3","shape":[],"data_offsets":[0,1]}})"),
      seedFor(Reader::Weights, weights),
      seedFor(Reader::Weights, half),
      seedFor(Reader::Adapter, adapter),
      seedFor(Reader::Optimizer, optimizer),
      seedFor(Reader::Config, std::string(reinterpret_cast<const char*>(sizes), sizeof sizes)),
  };
}

}  // namespace hdpo::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  hdpo::fuzz::run(static_cast<hdpo::fuzz::Reader>(data[0] % hdpo::fuzz::kReaders), rest);
  return 0;
}
