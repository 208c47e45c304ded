#include "model/transformer.h"

#include <doctest/doctest.h>

#include <functional>

#include "core/error.h"
#include "finite_differences.h"
#include "small_models.h"

using namespace hdpo;

namespace {

struct Case {
  std::vector<int32_t> tokens, offsets;
  PackedBatch batch() const {
    return {static_cast<int64_t>(tokens.size()), static_cast<int64_t>(offsets.size()) - 1, tokens.data(),
            offsets.data()};
  }
};

Case threeSequences(const ModelConfig& config) {
  return {randomTokens(14, config.vocabSize, 1), {0, 5, 6, 14}};
}

// A loss that weighs every hidden value differently.
std::vector<float> hiddenWeights(int64_t count) {
  std::vector<float> weights;
  for (int64_t i = 0; i < count; ++i) weights.push_back(normal(5, 0, static_cast<uint64_t>(i)));
  return weights;
}

double weighted(const Tensor& hidden, const std::vector<float>& weights) {
  double sum = 0;
  for (int64_t i = 0; i < hidden.count(); ++i)
    sum += double{hidden.f32()[i]} * weights[static_cast<size_t>(i)];
  return sum;
}

void gradient(Transformer& transformer, const Parameters& parameters, Parameters& gradients,
              const PackedBatch& batch, std::vector<float> weights) {
  transformer.forward(parameters, batch, true);
  transformer.backward(parameters, gradients, batch,
                       Tensor(weights.data(), {batch.tokenCount, parameters.config().hiddenSize}));
}

std::string codeOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  return "none";
}

}  // namespace

TEST_CASE("transformer: the gradient of every parameter agrees with finite differences") {
  for (const auto& backend : allBackends()) {
    for (NamedConfig named : smallConfigs()) {
      CAPTURE(backend->name());
      CAPTURE(named.name);
      named.config.tieEmbeddings = true;  // the head is not the transformer's; the learner's test has it
      Parameters parameters(*backend, named.config), gradients(*backend, named.config);
      randomise(parameters, 11);
      Transformer transformer(*backend, named.config, false);
      const Case data = threeSequences(named.config);
      const std::vector<float> weights = hiddenWeights(14 * named.config.hiddenSize);
      gradient(transformer, parameters, gradients, data.batch(), weights);
      const GradientDisagreement worst = compareGradients(parameters, gradients, [&] {
        return weighted(transformer.forward(parameters, data.batch(), false), weights);
      });
      CAPTURE(worst.where);
      CHECK(worst.relative < 2e-3);
    }
  }
}

TEST_CASE("transformer: the CPU backend agrees with the reference") {
  ReferenceBackend reference;
  const auto cpu = createCpuBackend(2);
  for (const NamedConfig& named : smallConfigs()) {
    CAPTURE(named.name);
    const Case data = threeSequences(named.config);
    const std::vector<float> weights = hiddenWeights(14 * named.config.hiddenSize);
    std::vector<float> hidden[2], grads[2];
    for (int i = 0; i < 2; ++i) {
      Backend& backend = i == 0 ? static_cast<Backend&>(reference) : *cpu;
      Parameters parameters(backend, named.config), gradients(backend, named.config);
      randomise(parameters, 11);
      Transformer transformer(backend, named.config, false);
      hidden[i] = values(transformer.forward(parameters, data.batch(), true));
      gradient(transformer, parameters, gradients, data.batch(), weights);
      grads[i] = values(gradients.flat());
    }
    CHECK(relativeDifference(hidden[1], hidden[0]) < 2e-6);
    CHECK(relativeDifference(grads[1], grads[0]) < 5e-6);
  }
}

TEST_CASE("transformer: packed sequences do not see each other") {
  for (const auto& backend : allBackends()) {
    for (const NamedConfig& named : smallConfigs()) {
      CAPTURE(backend->name());
      CAPTURE(named.name);
      const int64_t width = named.config.hiddenSize;
      Parameters parameters(*backend, named.config), packed(*backend, named.config),
          separate(*backend, named.config);
      randomise(parameters, 12);
      Transformer transformer(*backend, named.config, false);
      const Case all = threeSequences(named.config);
      const std::vector<float> weights = hiddenWeights(14 * width);
      const std::vector<float> together = values(transformer.forward(parameters, all.batch(), false));
      gradient(transformer, parameters, packed, all.batch(), weights);
      std::vector<float> apart;
      for (size_t s = 0; s + 1 < all.offsets.size(); ++s) {
        const int32_t begin = all.offsets[s], end = all.offsets[s + 1];
        const Case one{{all.tokens.begin() + begin, all.tokens.begin() + end}, {0, end - begin}};
        const std::vector<float> hidden = values(transformer.forward(parameters, one.batch(), false));
        apart.insert(apart.end(), hidden.begin(), hidden.end());
        gradient(transformer, parameters, separate, one.batch(),
                 {weights.begin() + begin * width, weights.begin() + end * width});
      }
      CHECK(relativeDifference(together, apart) < 1e-6);
      CHECK(relativeDifference(values(packed.flat()), values(separate.flat())) < 2e-6);
    }
  }
}

TEST_CASE("transformer: recomputation changes no bit and keeps less") {
  for (const auto& backend : allBackends()) {
    for (const NamedConfig& named : smallConfigs()) {
      CAPTURE(backend->name());
      CAPTURE(named.name);
      ModelConfig config = named.config;
      config.layers = 3;
      Parameters parameters(*backend, config), kept(*backend, config), recomputed(*backend, config);
      randomise(parameters, 13);
      Transformer keeping(*backend, config, false), recomputing(*backend, config, true);
      const Case data = threeSequences(config);
      const std::vector<float> weights = hiddenWeights(14 * config.hiddenSize);
      gradient(keeping, parameters, kept, data.batch(), weights);
      gradient(recomputing, parameters, recomputed, data.batch(), weights);
      CHECK(values(kept.flat()) == values(recomputed.flat()));
      CHECK(recomputing.activationBytes() < keeping.activationBytes());
    }
  }
}

TEST_CASE("transformer: a forward without activations gives the same hidden states") {
  for (const auto& backend : allBackends()) {
    for (const NamedConfig& named : smallConfigs()) {
      CAPTURE(backend->name());
      CAPTURE(named.name);
      Parameters parameters(*backend, named.config);
      randomise(parameters, 14);
      Transformer transformer(*backend, named.config, false);
      const Case data = threeSequences(named.config);
      const std::vector<float> plain = values(transformer.forward(parameters, data.batch(), false));
      const std::vector<float> kept = values(transformer.forward(parameters, data.batch(), true));
      CHECK(relativeDifference(plain, kept) < 1e-6);
    }
  }
}

TEST_CASE("transformer: a later token changes no earlier hidden state, position matters") {
  const auto backend = createCpuBackend(1);
  const ModelConfig config = smallConfig();
  Parameters parameters(*backend, config);
  randomise(parameters, 15);
  Transformer transformer(*backend, config, false);
  Case data{{3, 4, 3, 4, 5}, {0, 5}};
  const std::vector<float> before = values(transformer.forward(parameters, data.batch(), false));
  data.tokens[4] = 6;
  const std::vector<float> after = values(transformer.forward(parameters, data.batch(), false));
  const size_t last = 4 * static_cast<size_t>(config.hiddenSize);
  CHECK(std::equal(before.begin(), before.begin() + static_cast<int64_t>(last), after.begin()));
  CHECK(!std::equal(before.begin() + static_cast<int64_t>(last), before.end(),
                    after.begin() + static_cast<int64_t>(last)));
  CHECK(!std::equal(before.begin(), before.begin() + config.hiddenSize,
                    before.begin() + 2 * config.hiddenSize));
}

TEST_CASE("transformer: malformed batches are refused") {
  ReferenceBackend backend;
  const ModelConfig config = smallConfig();
  Parameters parameters(backend, config), gradients(backend, config);
  Transformer transformer(backend, config, false);
  const auto code = [&](const Case& data) {
    return codeOf([&] { transformer.forward(parameters, data.batch(), false); });
  };
  CHECK(code({{1, 2}, {0, 2}}) == "none");
  CHECK(code({{1, 13}, {0, 2}}) == "ERR_BATCH");
  CHECK(code({{1, -1}, {0, 2}}) == "ERR_BATCH");
  CHECK(code({{1, 2}, {0, 0, 2}}) == "ERR_BATCH");
  CHECK(code({{1, 2}, {0, 2, 1, 2}}) == "ERR_BATCH");
  CHECK(code({{1, 2}, {0, 1}}) == "ERR_BATCH");
  CHECK(code({std::vector<int32_t>(65, 1), {0, 65}}) == "ERR_BATCH");
  const Case good{{1, 2}, {0, 2}};
  std::vector<float> weights = hiddenWeights(2 * config.hiddenSize);
  const Tensor gradHidden(weights.data(), {2, config.hiddenSize});
  transformer.forward(parameters, good.batch(), false);
  CHECK(codeOf([&] { transformer.backward(parameters, gradients, good.batch(), gradHidden); }) ==
        "ERR_STATE");
}
