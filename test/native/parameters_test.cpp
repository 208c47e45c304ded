#include "model/parameters.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "core/error.h"
#include "small_models.h"

using namespace hdpo;

namespace {

const ParameterEntry& entryOf(const Parameters& parameters, const std::string& name) {
  for (const ParameterEntry& entry : parameters.entries()) {
    if (entry.name == name) return entry;
  }
  throw std::runtime_error("no entry " + name);
}

std::string messageOf(const ModelConfig& config) {
  try {
    validate(config);
  } catch (const Error& error) {
    return error.code() + " " + error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("parameters: names are Hugging Face's, for every option") {
  ModelConfig config = smallConfig();
  config.layers = 1;
  config.qkvBias = config.qkNorm = true;
  config.tieEmbeddings = false;
  const std::string layer = "model.layers.0.";
  const std::set<std::string> expected = {"model.embed_tokens.weight",
                                          layer + "input_layernorm.weight",
                                          layer + "self_attn.q_proj.weight",
                                          layer + "self_attn.k_proj.weight",
                                          layer + "self_attn.v_proj.weight",
                                          layer + "self_attn.q_proj.bias",
                                          layer + "self_attn.k_proj.bias",
                                          layer + "self_attn.v_proj.bias",
                                          layer + "self_attn.q_norm.weight",
                                          layer + "self_attn.k_norm.weight",
                                          layer + "self_attn.o_proj.weight",
                                          layer + "post_attention_layernorm.weight",
                                          layer + "mlp.gate_proj.weight",
                                          layer + "mlp.up_proj.weight",
                                          layer + "mlp.down_proj.weight",
                                          "model.norm.weight",
                                          "lm_head.weight"};
  std::set<std::string> names;
  for (const ParameterEntry& entry : parameterEntries(config)) names.insert(entry.name);
  CHECK(names == expected);

  config.qkvBias = config.qkNorm = false;
  config.tieEmbeddings = true;
  CHECK(parameterEntries(config).size() == expected.size() - 6);
}

TEST_CASE("parameters: fused views cover the tensors that Hugging Face's names address") {
  ReferenceBackend backend;
  for (const NamedConfig& named : smallConfigs()) {
    CAPTURE(named.name);
    const Parameters parameters(backend, named.config);
    int64_t end = 0;
    for (const ParameterEntry& entry : parameters.entries()) {
      CHECK(entry.offset == end);
      CHECK(entry.decays == (entry.shape.size() == 2));
      end += entry.count;
    }
    CHECK(end == parameters.count());
    const auto address = [&](const std::string& name) {
      return parameters.view(entryOf(parameters, name)).data;
    };
    for (size_t l = 0; l < parameters.layers.size(); ++l) {
      const std::string prefix = "model.layers." + std::to_string(l) + ".";
      const LayerParameters& layer = parameters.layers[l];
      const int64_t queries = named.config.heads * named.config.headDim,
                    keys = named.config.kvHeads * named.config.headDim;
      CHECK(layer.inputNorm.data == address(prefix + "input_layernorm.weight"));
      CHECK(layer.qkv.data == address(prefix + "self_attn.q_proj.weight"));
      CHECK(layer.qkv.rows(queries, queries).data == address(prefix + "self_attn.k_proj.weight"));
      CHECK(layer.qkv.rows(queries + keys, queries + keys).data ==
            address(prefix + "self_attn.v_proj.weight"));
      CHECK(layer.output.data == address(prefix + "self_attn.o_proj.weight"));
      CHECK(layer.postNorm.data == address(prefix + "post_attention_layernorm.weight"));
      CHECK(layer.gateUp.data == address(prefix + "mlp.gate_proj.weight"));
      CHECK(layer.gateUp.rows(named.config.intermediateSize, named.config.intermediateSize).data ==
            address(prefix + "mlp.up_proj.weight"));
      CHECK(layer.down.data == address(prefix + "mlp.down_proj.weight"));
      CHECK(static_cast<bool>(layer.qkvBias) == named.config.qkvBias);
      CHECK(static_cast<bool>(layer.queryNorm) == named.config.qkNorm);
      if (named.config.qkvBias) CHECK(layer.qkvBias.data == address(prefix + "self_attn.q_proj.bias"));
      if (named.config.qkNorm) CHECK(layer.queryNorm.data == address(prefix + "self_attn.q_norm.weight"));
      if (named.config.qkNorm) CHECK(layer.keyNorm.data == address(prefix + "self_attn.k_norm.weight"));
    }
    CHECK(parameters.finalNorm.data == address("model.norm.weight"));
    CHECK(parameters.head.data ==
          address(named.config.tieEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight"));
  }
}

TEST_CASE("parameters: initialisation is a function of the seed, with the documented deviations") {
  ReferenceBackend backend;
  ModelConfig config = smallConfig();
  config.vocabSize = 500;
  config.hiddenSize = 64;
  config.intermediateSize = 128;
  config.qkvBias = true;
  Parameters a(backend, config), b(backend, config), other(backend, config);
  a.initialize(1);
  b.initialize(1);
  other.initialize(2);
  CHECK(values(a.flat()) == values(b.flat()));
  CHECK(values(a.flat()) != values(other.flat()));
  const auto deviation = [&](const Tensor& tensor) {
    return std::sqrt(backend.sumOfSquares(tensor) / static_cast<double>(tensor.count()));
  };
  CHECK(deviation(a.embedding) == doctest::Approx(0.02).epsilon(0.03));
  CHECK(deviation(a.layers[0].gateUp) == doctest::Approx(0.02).epsilon(0.03));
  CHECK(deviation(a.layers[1].down) == doctest::Approx(0.01).epsilon(0.03));  // 0.02 / sqrt(2 * 2 layers)
  CHECK(deviation(a.layers[0].qkvBias) == 0);
  for (const float weight : values(a.finalNorm)) CHECK(weight == 1);
  other.copyFrom(a);
  CHECK(values(a.flat()) == values(other.flat()));
  other.zero();
  CHECK(backend.sumOfSquares(other.flat()) == 0);
}

TEST_CASE("parameters: a configuration that makes no sense is refused by field") {
  CHECK(messageOf(smallConfig()).empty());
  const auto refused = [](auto change) {
    ModelConfig config = smallConfig();
    change(config);
    return messageOf(config);
  };
  using Message = std::string;
  const auto mentions = [](const Message& message, const char* field) {
    return message.starts_with("ERR_CONFIG") && message.find(field) != Message::npos;
  };
  CHECK(mentions(refused([](ModelConfig& c) { c.vocabSize = 0; }), "vocabSize"));
  CHECK(mentions(refused([](ModelConfig& c) { c.hiddenSize = -8; }), "hiddenSize"));
  CHECK(mentions(refused([](ModelConfig& c) { c.layers = 0; }), "layers"));
  CHECK(mentions(refused([](ModelConfig& c) { c.kvHeads = 3; }), "kvHeads"));
  CHECK(mentions(refused([](ModelConfig& c) { c.headDim = 5; }), "headDim"));
  CHECK(mentions(refused([](ModelConfig& c) { c.intermediateSize = int64_t{1} << 40; }), "intermediateSize"));
  CHECK(mentions(refused([](ModelConfig& c) { c.maxPositions = 0; }), "maxPositions"));
  CHECK(mentions(refused([](ModelConfig& c) { c.ropeTheta = std::nanf(""); }), "ropeTheta"));
  CHECK(mentions(refused([](ModelConfig& c) { c.rmsNormEpsilon = 0; }), "rmsNormEpsilon"));
}
