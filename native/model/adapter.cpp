#include "model/adapter.h"

#include <cmath>
#include <string>

#include "core/error.h"
#include "core/random.h"

namespace hdpo {

namespace {

constexpr int64_t kLargestRank = 1024;

// One projection of a group: its name in the layer and the rows of the fused output that it makes.
struct Module {
  TargetModule target;
  const char* parent;  // "self_attn" or "mlp"
  int64_t outputs;
};

struct Group {
  int64_t inputs;
  std::vector<Module> modules;
};

std::array<Group, 4> groupsOf(const ModelConfig& config) {
  const int64_t queries = config.heads * config.headDim, keys = config.kvHeads * config.headDim;
  const int64_t width = config.hiddenSize, inner = config.intermediateSize;
  return {Group{width,
                {{TargetModule::Query, "self_attn", queries},
                 {TargetModule::Key, "self_attn", keys},
                 {TargetModule::Value, "self_attn", keys}}},
          Group{queries, {{TargetModule::Output, "self_attn", width}}},
          Group{width, {{TargetModule::Gate, "mlp", inner}, {TargetModule::Up, "mlp", inner}}},
          Group{inner, {{TargetModule::Down, "mlp", width}}}};
}

bool isTarget(const AdapterOptions& options, const Module& module) {
  return options.targets[static_cast<size_t>(module.target)];
}

template <class Cursor>
AdapterGroup groupViews(Cursor& cursor, const Group& group, const AdapterOptions& options) {
  AdapterGroup views;
  int64_t updated = 0;
  for (const Module& module : group.modules) {
    if (isTarget(options, module)) views.blocks.push_back({views.outputs, module.outputs});
    if (isTarget(options, module)) updated += module.outputs;
    views.outputs += module.outputs;
  }
  if (views.blocks.empty()) return views;
  views.down = cursor.matrix(static_cast<int64_t>(views.blocks.size()) * options.rank, group.inputs);
  views.up = cursor.matrix(updated, options.rank);
  return views;
}

}  // namespace

float AdapterOptions::scale() const {
  const float size = static_cast<float>(rank);
  return alpha / (rankStabilized ? std::sqrt(size) : size);
}

void validate(const AdapterOptions& options) {
  require(options.rank >= 1 && options.rank <= kLargestRank, "ERR_CONFIG",
          "lora.rank must be between 1 and " + std::to_string(kLargestRank) + ", but is " +
              std::to_string(options.rank));
  require(std::isfinite(options.alpha) && options.alpha > 0, "ERR_CONFIG",
          "lora.alpha must be a finite number above 0, but is " + std::to_string(options.alpha));
  require(options.dropout >= 0 && options.dropout < 1, "ERR_CONFIG",
          "lora.dropout must be in [0, 1), but is " + std::to_string(options.dropout));
  bool any = false;
  for (const bool target : options.targets) any = any || target;
  require(any, "ERR_CONFIG", "lora.targetModules must name at least one projection");
}

std::vector<ParameterEntry> adapterEntries(const ModelConfig& config, const AdapterOptions& options) {
  validate(config);
  validate(options);
  ParameterLayout layout;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = "base_model.model.model.layers." + std::to_string(layer) + ".";
    for (const Group& group : groupsOf(config)) {
      const auto name = [&](const Module& module, const char* part) {
        return prefix + module.parent + "." + kTargetModuleNames[static_cast<size_t>(module.target)] + part;
      };
      for (const Module& module : group.modules) {
        if (isTarget(options, module))
          layout.matrix(name(module, ".lora_A.weight"), options.rank, group.inputs);
      }
      for (const Module& module : group.modules) {
        if (isTarget(options, module))
          layout.matrix(name(module, ".lora_B.weight"), module.outputs, options.rank);
      }
    }
  }
  return layout.take();
}

std::array<AdapterShape, 4> adapterShapes(const ModelConfig& config, const AdapterOptions& options) {
  std::array<AdapterShape, 4> shapes;
  const std::array<Group, 4> groups = groupsOf(config);
  for (size_t i = 0; i < groups.size(); ++i) {
    shapes[i].inputs = groups[i].inputs;
    for (const Module& module : groups[i].modules) {
      shapes[i].outputs += module.outputs;
      if (isTarget(options, module)) shapes[i].width += options.rank;
    }
  }
  return shapes;
}

Adapter::Adapter(Backend& backend, const ModelConfig& config, const AdapterOptions& options)
    : ParameterSet(backend, adapterEntries(config, options), DType::Float32), options_(options) {
  Cursor cursor(*this);
  const std::array<Group, 4> groups = groupsOf(config);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    LayerAdapters views;
    for (size_t i = 0; i < groups.size(); ++i) views[i] = groupViews(cursor, groups[i], options);
    layers.push_back(std::move(views));
  }
}

Projection Adapter::lowest() const {
  size_t index = 0;
  while (!layers[0][index]) ++index;  // validate has made sure that there is one
  return static_cast<Projection>(index);
}

void Adapter::initialize(uint64_t seed) {
  constexpr uint64_t kStream = uint64_t{1} << 40;  // differs from those of the base weights
  std::vector<float> values;
  for (size_t index = 0; index < entries().size(); ++index) {
    const ParameterEntry& entry = entries()[index];
    values.assign(static_cast<size_t>(entry.count), 0.0f);
    if (entry.name.find(".lora_A.") != std::string::npos) {
      const float bound = 1 / std::sqrt(static_cast<float>(entry.shape[1]));
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = bound * (2 * uniform(seed, kStream + index, i) - 1);
      }
    }
    write(entry, values.data());
  }
}

}  // namespace hdpo
