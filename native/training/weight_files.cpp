#include "training/weight_files.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include "core/error.h"
#include "io/safetensors.h"
#include "model/merged_weight.h"
#include "training/tensor_files.h"

namespace hdpo {

namespace {

// The tensors of all files together.
class Shards {
 public:
  struct Found {
    const SafetensorsEntry* entry;
    const SafetensorsFile* file;
  };

  explicit Shards(const std::vector<std::string>& paths) {
    require(!paths.empty(), "ERR_ARGUMENT", "at least one weights file is needed");
    for (const std::string& path : paths) {
      files_.push_back(std::make_unique<SafetensorsFile>(path));
      for (const auto& [name, entry] : files_.back()->entries()) {
        const auto [other, added] = tensors_.insert({name, {&entry, files_.back().get()}});
        if (!added) refuseFile(path, "tensor '" + name + "' is in " + other->second.file->path() + " too");
      }
    }
    where_ =
        paths.size() == 1 ? paths[0] : paths[0] + " and " + std::to_string(paths.size() - 1) + " more shards";
  }
  const std::map<std::string, Found>& tensors() const { return tensors_; }
  const std::string& where() const { return where_; }

 private:
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Found> tensors_;
  std::string where_;
};

bool sameContent(const Shards::Found& a, const Shards::Found& b) {
  if (a.entry->dtype != b.entry->dtype || a.entry->shape != b.entry->shape) return false;
  constexpr size_t kPiece = size_t{1} << 20;
  std::vector<char> ofA(std::min(kPiece, a.entry->bytes)), ofB(ofA.size());
  for (size_t begin = 0; begin < a.entry->bytes; begin += kPiece) {
    const size_t bytes = std::min(kPiece, a.entry->bytes - begin);
    a.file->read(*a.entry, begin, bytes, ofA.data());
    b.file->read(*b.entry, begin, bytes, ofB.data());
    if (std::memcmp(ofA.data(), ofB.data(), bytes) != 0) return false;
  }
  return true;
}

// `tied`: lm_head.weight may stand beside the embedding that it repeats. `matrices`: what they are computed with.
void check(const Shards& shards, const std::vector<ParameterEntry>& entries, DType matrices, bool tied) {
  std::vector<std::string> missing, extra;
  std::set<std::string> expected;
  for (const ParameterEntry& entry : entries) {
    expected.insert(entry.name);
    if (!shards.tensors().contains(entry.name)) missing.push_back(entry.name);
  }
  if (!missing.empty()) refuseFile(shards.where(), "missing tensors: " + listNames(missing));
  for (const auto& [name, found] : shards.tensors()) {
    const bool tiedHead = tied && name == "lm_head.weight";
    if (tiedHead && !sameContent(found, shards.tensors().at("model.embed_tokens.weight"))) {
      refuseFile(found.file->path(),
                 "lm_head.weight differs from model.embed_tokens.weight, but the model ties its embeddings");
    }
    // Older Llama checkpoints hold the rotary frequencies, which follow from the configuration.
    const bool derived = name.ends_with(".rotary_emb.inv_freq");
    if (!tiedHead && !derived && !expected.contains(name)) extra.push_back(name);
  }
  if (!extra.empty()) refuseFile(shards.where(), "tensors that the model does not have: " + listNames(extra));
  for (const ParameterEntry& entry : entries) {
    const Shards::Found& found = shards.tensors().at(entry.name);
    checkTensor(*found.entry, entry.name, entry.shape, false, found.file->path());
  }
  for (const ParameterEntry& entry : entries) {
    const Shards::Found& found = shards.tensors().at(entry.name);
    requireFinite({*found.file, entry.name, *found.entry}, entry.decays ? matrices : DType::Float32);
  }
}

void read(ParameterSet& destination, const Shards& shards) {
  try {
    for (const ParameterEntry& entry : destination.entries()) {
      const Shards::Found& found = shards.tensors().at(entry.name);
      readTensor(destination.backend(), destination.view(entry), {*found.file, entry.name, *found.entry});
    }
  } catch (const Error& error) {
    throw PartlyLoaded(error.code(), error.what());
  }
}

// One shard's entries, in the order of the model.
using Shard = std::vector<const ParameterEntry*>;

std::vector<Shard> splitIntoShards(const std::vector<ParameterEntry>& entries, const SaveOptions& options) {
  std::vector<Shard> shards(1);
  uint64_t used = 0;
  for (const ParameterEntry& entry : entries) {
    const uint64_t bytes = static_cast<uint64_t>(entry.count) * sizeOf(options.precision);
    if (!shards.back().empty() && used + bytes > options.maxShardBytes) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().push_back(&entry);
    used += bytes;
  }
  return shards;
}

void writeShard(const ModelWeights& model, const std::string& path, const Shard& shard, DType precision) {
  std::vector<SafetensorsWrite> tensors;
  for (const ParameterEntry* entry : shard) {
    const size_t bytes = static_cast<size_t>(entry->count) * sizeOf(precision);
    tensors.push_back({entry->name, safetensorsName(precision), entry->shape, nullptr, bytes});
  }
  SafetensorsWriter writer(path, tensors, {{"format", "pt"}});  // what transformers' loader asks for
  const Parameters& weights = model.precise();
  MergedWeight merged(weights, model.merged() ? model.adapter() : nullptr);
  for (const ParameterEntry* entry : shard) {
    appendTensor(writer, weights.backend(), merged.of(*entry), precision);
  }
  writer.finish();
}

std::string numbered(const std::string& stem, size_t index, size_t count) {
  char suffix[64];
  std::snprintf(suffix, sizeof suffix, "-%05zu-of-%05zu.safetensors", index + 1, count);
  return stem + suffix;
}

// Names of tensors are the library's own and need no escaping; saveWeights has checked the stem.
std::string indexText(const std::vector<Shard>& shards, const std::string& stem, DType precision) {
  uint64_t total = 0;
  std::string map;
  for (size_t i = 0; i < shards.size(); ++i) {
    for (const ParameterEntry* entry : shards[i]) {
      total += static_cast<uint64_t>(entry->count) * sizeOf(precision);
      map += (map.empty() ? "" : ",\n") + std::string("    \"") + entry->name + "\": \"" +
             numbered(stem, i, shards.size()) + "\"";
    }
  }
  return "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(total) +
         "\n  },\n  \"weight_map\": {\n" + map + "\n  }\n}\n";
}

}  // namespace

void loadWeights(ModelWeights& model, const std::vector<std::string>& paths) {
  const Shards shards(paths);
  require(!model.merged(), "ERR_STATE", "unmerge the adapter before other weights are loaded");
  check(shards, model.weights().entries(), model.weights().precision(), model.config().tieEmbeddings);
  read(model.precise(), shards);
  model.preciseChanged();
}

void saveWeights(const ModelWeights& model, const std::string& path, const SaveOptions& options) {
  const std::vector<Shard> shards = splitIntoShards(model.precise().entries(), options);
  if (shards.size() == 1) return writeShard(model, path, shards[0], options.precision);
  constexpr const char* kEnding = ".safetensors";
  const size_t ending = path.rfind(kEnding);
  require(ending != std::string::npos && ending + std::strlen(kEnding) == path.size(), "ERR_ARGUMENT",
          "a path that is written in shards must end in .safetensors, but is " + path);
  const std::string stem = path.substr(0, ending);
  const std::string name = stem.substr(stem.rfind('/') + 1);
  require(name.find_first_of("\"\\") == std::string::npos, "ERR_ARGUMENT",
          "the name of sharded weights holds a quote or backslash: " + name);
  for (size_t i = 0; i < shards.size(); ++i) {
    writeShard(model, numbered(stem, i, shards.size()), shards[i], options.precision);
  }
  writeTextFile(path + ".index.json", indexText(shards, name, options.precision));
}

void saveAdapter(const Adapter& adapter, const std::string& path) {
  std::vector<SafetensorsWrite> tensors;
  for (const ParameterEntry& entry : adapter.entries()) {
    tensors.push_back(
        {entry.name, "F32", entry.shape, nullptr, static_cast<size_t>(entry.count) * sizeof(float)});
  }
  SafetensorsWriter writer(path, tensors, {{"format", "pt"}});
  for (const ParameterEntry& entry : adapter.entries()) {
    appendTensor(writer, adapter.backend(), adapter.view(entry), DType::Float32);
  }
  writer.finish();
}

void loadAdapter(Adapter& adapter, const std::string& path) {
  const Shards shards({path});
  check(shards, adapter.entries(), adapter.precision(), false);
  read(adapter, shards);
}

}  // namespace hdpo
