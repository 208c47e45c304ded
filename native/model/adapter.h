// LoRA (Hu et al., arXiv 2106.09685): y = x W^T + scale * dropout(x) A^T B^T beside chosen projections, whose
// own weights stay as they are.
//
// Projections that read the same input (q, k, v; gate, up) form a group. Their A matrices lie one after the
// other, so that one product computes all of x A^T. Their B matrices do too, and are spread over the diagonal
// of a matrix [outputs of the group, modules * rank] (Backend::spreadBlocks), so that one product adds all of
// them to the fused output. The modules of a group see the same dropped input: there is one mask per group.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/parameter_set.h"

namespace hdpo {

enum class TargetModule : uint8_t { Query, Key, Value, Output, Gate, Up, Down };
constexpr std::array<const char*, 7> kTargetModuleNames = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                           "gate_proj", "up_proj", "down_proj"};

struct AdapterOptions {
  int64_t rank = 0;
  float alpha = 0;
  float dropout = 0;  // probability
  std::array<bool, 7> targets{};
  bool rankStabilized = false;  // alpha / sqrt(rank) (Kalajdzievski, arXiv 2312.03732)

  float scale() const;
};

// Throws ERR_CONFIG naming the option.
void validate(const AdapterOptions& options);

// PEFT's names, such as "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".
std::vector<ParameterEntry> adapterEntries(const ModelConfig& config, const AdapterOptions& options);

// The sizes of a group: y [N, outputs], x [N, inputs], width = modules * rank (0 where none of its modules is
// a target).
struct AdapterShape {
  int64_t inputs = 0, outputs = 0, width = 0;
};
std::array<AdapterShape, 4> adapterShapes(const ModelConfig& config, const AdapterOptions& options);

struct AdapterGroup {
  Tensor down;                       // A: [modules * rank, inputs]; empty where no module is a target
  Tensor up;                         // B: [outputs of those modules, rank]
  std::vector<AdapterBlock> blocks;  // rows of the fused output that each module's B belongs to
  int64_t outputs = 0;               // height of the fused projection, rows of other modules included

  explicit operator bool() const { return static_cast<bool>(down); }
  int64_t width() const { return down ? down.shape[0] : 0; }  // modules * rank
};

// The groups of a layer in the order of the forward pass.
enum class Projection : uint8_t { Qkv, Output, GateUp, Down };
using LayerAdapters = std::array<AdapterGroup, 4>;

class Adapter : public ParameterSet {
 public:
  Adapter(Backend& backend, const ModelConfig& config, const AdapterOptions& options);  // zero-filled

  const AdapterOptions& options() const { return options_; }
  std::vector<LayerAdapters> layers;
  const AdapterGroup& group(int64_t layer, Projection projection) const {
    return layers[static_cast<size_t>(layer)][static_cast<size_t>(projection)];
  }
  // The first group of the forward pass that has an adapter.
  Projection lowest() const;

  // Draws A uniformly within +-1 / sqrt(inputs), as PEFT does (Kaiming's rule with a = sqrt(5) comes to
  // that), and sets B to 0. The adapter changes nothing until it is trained.
  void initialize(uint64_t seed);

 private:
  AdapterOptions options_;
};

}  // namespace hdpo
