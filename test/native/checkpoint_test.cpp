#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>

#include "device_memory_backend.h"
#include "io/safetensors.h"
#include "temporary_folder.h"
#include "training/optimizer_file.h"
#include "training/tensor_files.h"
#include "training_batches.h"

using namespace hdpo;

TEST_CASE("checkpoint: saved and loaded, training goes on bit for bit") {
  for (const auto& backend : allBackends()) {
    for (const NamedConfig& named : smallConfigs()) {
      CAPTURE(backend->name());
      CAPTURE(named.name);
      const TemporaryFolder folder;
      const TrainingBatch batch = policyBatch(named.config);
      OptimizerOptions options = typicalOptimizer();
      options.weightDecay = 0.1f;
      const auto learner = learnerFor(*backend, named.config, 43);
      for (int step = 0; step < 3; ++step)
        learner->policyStep(batch, Aggregation::TokenMean, typicalLoss(), options, nullptr);
      learner->saveWeights(folder.file("weights"));
      learner->saveOptimizer(folder.file("optimizer"));
      OwningLearner resumed(*backend, named.config, false);
      resumed.loadWeights(folder.file("weights"));
      resumed.loadOptimizer(folder.file("optimizer"));
      CHECK(resumed.optimizerStep() == 3);
      for (int step = 0; step < 3; ++step) {
        learner->policyStep(batch, Aggregation::TokenMean, typicalLoss(), options, nullptr);
        resumed.policyStep(batch, Aggregation::TokenMean, typicalLoss(), options, nullptr);
      }
      CHECK(values(learner->parameters().flat()) == values(resumed.parameters().flat()));
      learner->saveOptimizer(folder.file("a"));
      resumed.saveOptimizer(folder.file("b"));
      CHECK(readFile(folder.file("a")) == readFile(folder.file("b")));
    }
  }
}

namespace {

// The tensors of a saved file, to be damaged one by one and written again.
struct EditableFile {
  std::vector<SafetensorsWrite> tensors;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> storage;
  explicit EditableFile(const std::string& path) {
    const SafetensorsFile file(path);
    metadata = file.metadata();
    storage.reserve(file.entries().size() + 1);  // tensors point into the strings
    for (const auto& [name, entry] : file.entries()) {
      storage.emplace_back(entry.bytes, '\0');
      file.read(entry, 0, entry.bytes, storage.back().data());
      tensors.push_back({name, entry.dtype, entry.shape, storage.back().data(), entry.bytes});
    }
  }
  SafetensorsWrite& find(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(),
                         [&](const SafetensorsWrite& t) { return t.name == name; });
  }
};

}  // namespace

TEST_CASE("checkpoint: wrong weight files are refused by tensor and change nothing") {
  ReferenceBackend backend;
  const TemporaryFolder folder;
  const std::string path = folder.file("weights"), damagedPath = folder.file("damaged");
  const auto saved = learnerFor(backend, smallConfig(), 44);
  saved->saveWeights(path);
  const auto learner = learnerFor(backend, smallConfig(), 45);
  const std::vector<float> weights = values(learner->parameters().flat());
  const auto refused = [&](const std::function<void(EditableFile&)>& damage) {
    EditableFile file(path);
    damage(file);
    writeSafetensors(damagedPath, file.tensors, file.metadata);
    const std::string message = refusal([&] { learner->loadWeights(damagedPath); });
    CHECK(values(learner->parameters().flat()) == weights);
    return message.starts_with("ERR_CHECKPOINT " + damagedPath + ": ") ? message : "not refused: " + message;
  };
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  CHECK(contains(refused([&](EditableFile& f) { f.find(name).name = "other"; }), "missing tensors: " + name));
  CHECK(contains(refused([](EditableFile& f) {
                   f.tensors.push_back({"other", "U8", {0}, nullptr, 0});
                 }),
                 "does not have: other"));
  CHECK(contains(refused([&](EditableFile& f) {
                   f.find(name).shape = {8, 12};
                 }),
                 "'" + name + "' has shape [8, 12], but the model needs [12, 8]"));
  CHECK(contains(refused([&](EditableFile& f) { f.find(name).dtype = "I32"; }),
                 "'" + name + "' has dtype I32"));
  CHECK(contains(refused([](EditableFile& f) {
                   SafetensorsWrite head = f.find("model.embed_tokens.weight");
                   head.name = "lm_head.weight";
                   f.storage.emplace_back(head.bytes, 'x');
                   head.data = f.storage.back().data();
                   f.tensors.push_back(head);
                 }),
                 "lm_head.weight differs"));
  const std::string whole = readFile(path);
  writeFile(damagedPath, whole.substr(0, whole.size() - 1));
  CHECK(contains(refusal([&] { learner->loadWeights(damagedPath); }), "cut short"));
  CHECK(values(learner->parameters().flat()) == weights);
  learner->loadWeights(path);
  CHECK(values(learner->parameters().flat()) == values(saved->parameters().flat()));
}

TEST_CASE("checkpoint: values that are not finite are refused by tensor and place, and change nothing") {
  ReferenceBackend backend;
  const TemporaryFolder folder;
  const std::string path = folder.file("weights"), damagedPath = folder.file("damaged");
  const auto learner = learnerFor(backend, smallConfig(), 44);
  learner->saveWeights(path);
  const std::vector<float> weights = values(learner->parameters().flat());
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const auto refused = [&](const std::string& dtype, size_t place, const std::string& bits) {
    EditableFile file(path);
    SafetensorsWrite& tensor = file.find(name);
    tensor.dtype = dtype;
    std::string data(static_cast<size_t>(12 * 8) * bits.size(), '\0');
    data.replace(place * bits.size(), bits.size(), bits);
    tensor.bytes = data.size();
    tensor.data = data.data();
    writeSafetensors(damagedPath, file.tensors, file.metadata);
    const std::string message = refusal([&] { learner->loadWeights(damagedPath); });
    CHECK(values(learner->parameters().flat()) == weights);
    return message;
  };
  const std::string start = "ERR_CHECKPOINT " + damagedPath + ": tensor '" + name + "' holds ";
  const auto bits = [](std::initializer_list<int> bytes) { return std::string(bytes.begin(), bytes.end()); };
  CHECK(refused("F32", 17, bits({0, 0, 0xC0, 0x7F})).starts_with(start + "NaN at element 17;"));
  CHECK(refused("F32", 0, bits({0, 0, 0x80, 0xFF})).starts_with(start + "-Infinity at element 0;"));
  CHECK(refused("BF16", 95, bits({0x80, 0x7F})).starts_with(start + "Infinity at element 95;"));
  CHECK(refused("BF16", 3, bits({0x81, 0xFF})).starts_with(start + "NaN at element 3;"));
  CHECK(refused("F16", 4, bits({0x00, 0xFC})).starts_with(start + "-Infinity at element 4;"));
}

TEST_CASE("checkpoint: a number that is infinite in bfloat16 is refused where that is how weights are kept") {
  const auto backend = createCpuBackend(1);
  const TemporaryFolder folder;
  const std::string path = folder.file("weights");
  const ModelConfig config = smallConfig();
  const auto saved = learnerFor(*backend, config, 44);
  // The largest float32 below the value half-way between bfloat16's largest and what would be the next one.
  saved->parameters().flat().f32()[0] = std::bit_cast<float>(0x7F7F7FFFu);
  saved->saveWeights(path);
  ModelOptions options;
  options.precision = DType::BFloat16;
  OwningLearner half(*backend, config, false, options), whole(*backend, config, false);
  CHECK(refusal([&] { half.loadWeights(path); }) == "");
  saved->parameters().flat().f32()[0] = std::bit_cast<float>(0x7F7F8000u);
  saved->saveWeights(path);
  CHECK(
      contains(refusal([&] { half.loadWeights(path); }), "element 0; all values must be finite in bfloat16"));
  CHECK(refusal([&] { whole.loadWeights(path); }) == "");
}

TEST_CASE(
    "checkpoint: a file that is cut short while it is read is an error, and says that a part is loaded") {
  const TemporaryFolder folder;
  const std::string path = folder.file("weights"), cut = folder.file("cut");
  DeviceMemoryBackend backend(1);
  const auto learner = learnerFor(backend, smallConfig(), 44);
  learner->saveWeights(path);
  for (const int copies : {0, 1, 5}) {
    std::filesystem::copy_file(path, cut, std::filesystem::copy_options::overwrite_existing);
    int made = 0;
    backend.beforeCopy = [&] {
      if (made++ == copies) std::filesystem::resize_file(cut, 100);
    };
    std::string code, message;
    try {
      learner->loadWeights(cut);
    } catch (const PartlyLoaded& error) {
      code = error.code();
      message = error.what();
    }
    backend.beforeCopy = nullptr;
    CHECK(code == "ERR_CHECKPOINT");
    CHECK(contains(message, "something has shortened it meanwhile"));
  }
}

TEST_CASE("checkpoint: tied weights are stored once; half precision and a repeated head are read") {
  ReferenceBackend backend;
  const TemporaryFolder folder;
  const std::string path = folder.file("weights"), other = folder.file("other");
  const auto saved = learnerFor(backend, smallConfig(), 46);
  for (const ParameterEntry& entry :
       saved->parameters().entries()) {  // multiples of 1/4 are exact in both half formats
    for (int64_t i = 0; i < entry.count; ++i) {
      saved->parameters().flat().f32()[entry.offset + i] =
          static_cast<float>((entry.offset + i) % 23 - 11) * 0.25f;
    }
  }
  saved->saveWeights(path);
  EditableFile file(path);
  CHECK(std::none_of(file.tensors.begin(), file.tensors.end(),
                     [](const auto& t) { return t.name == "lm_head.weight"; }));
  CHECK(file.metadata.at("format") == "pt");

  const auto half = [](float value, bool brain) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, 4);
    if (brain) return static_cast<uint16_t>(bits >> 16);
    if (value == 0) return static_cast<uint16_t>(0);
    return static_cast<uint16_t>((bits >> 31) << 15 | (((bits >> 23) & 255) - 112) << 10 |
                                 ((bits >> 13) & 1023));
  };
  for (const bool brain : {false, true}) {
    EditableFile converted(path);
    for (size_t i = 0; i < converted.tensors.size(); ++i) {
      std::string narrow;
      for (size_t at = 0; at < converted.tensors[i].bytes; at += 4) {
        float value = 0;
        std::memcpy(&value, converted.storage[i].data() + at, 4);
        const uint16_t bits = half(value, brain);
        narrow.append(reinterpret_cast<const char*>(&bits), 2);
      }
      converted.storage[i] = narrow;
      converted.tensors[i].data = converted.storage[i].data();
      converted.tensors[i].bytes = narrow.size();
      converted.tensors[i].dtype = brain ? "BF16" : "F16";
    }
    SafetensorsWrite head = converted.find("model.embed_tokens.weight");
    head.name = "lm_head.weight";
    converted.tensors.push_back(head);
    writeSafetensors(other, converted.tensors, {});
    OwningLearner learner(backend, smallConfig(), false);
    learner.loadWeights(other);
    CHECK(values(learner.parameters().flat()) == values(saved->parameters().flat()));
  }
}

TEST_CASE("checkpoint: wrong optimiser files are refused and change nothing") {
  ReferenceBackend backend;
  const TemporaryFolder folder;
  const std::string path = folder.file("optimizer"), damagedPath = folder.file("damaged");
  const auto learner = learnerFor(backend, smallConfig(), 47);
  learner->supervisedStep(policyBatch(smallConfig()), typicalOptimizer(), nullptr);
  learner->saveOptimizer(path);
  const auto refused = [&](const std::function<void(EditableFile&)>& damage) {
    EditableFile file(path);
    damage(file);
    writeSafetensors(damagedPath, file.tensors, file.metadata);
    const std::string message = refusal([&] { learner->loadOptimizer(damagedPath); });
    CHECK(learner->optimizerStep() == 1);
    learner->saveOptimizer(folder.file("now"));
    CHECK(readFile(folder.file("now")) == readFile(path));
    return message.starts_with("ERR_CHECKPOINT " + damagedPath + ": ") ? message : "not refused: " + message;
  };
  CHECK(contains(refused([](EditableFile& f) { f.find("variance").name = "other"; }),
                 "unexpected tensor 'other'"));
  CHECK(contains(refused([](EditableFile& f) { f.tensors.pop_back(); }), "missing tensor 'variance'"));
  CHECK(contains(refused([](EditableFile& f) { f.find("momentum").dtype = "I32"; }),
                 "'momentum' has dtype I32"));
  CHECK(contains(refused([](EditableFile& f) { f.metadata.erase("step"); }), "no 'step'"));
  CHECK(contains(refused([](EditableFile& f) { f.metadata["step"] = "1x"; }), "'1x'"));
  CHECK(contains(refused([](EditableFile& f) { f.metadata["step"] = "-1"; }), "'-1'"));
  CHECK(contains(refused([](EditableFile& f) { f.metadata["layout"] = "0"; }), "another shape"));
  CHECK(contains(refused([](EditableFile& f) { f.metadata.erase("format"); }), "no 'format'"));
  CHECK(refusal([&] { learner->loadWeights(path); }).starts_with("ERR_CHECKPOINT"));
}
