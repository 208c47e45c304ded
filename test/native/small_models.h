// Tiny models that together use every option of ModelConfig, batches for them, and the two backends on which
// they run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "model/parameters.h"
#include "reference_backend.h"

namespace hdpo {

struct NamedConfig {
  const char* name;
  ModelConfig config;
};

inline ModelConfig smallConfig() {
  ModelConfig config;
  config.vocabSize = 13;
  config.hiddenSize = 8;
  config.layers = 2;
  config.heads = 2;
  config.kvHeads = 2;
  config.headDim = 4;
  config.intermediateSize = 12;
  config.maxPositions = 64;
  config.ropeTheta = 10000;
  config.rmsNormEpsilon = 1e-6f;
  config.tieEmbeddings = true;
  return config;
}

inline std::vector<NamedConfig> smallConfigs() {
  ModelConfig grouped = smallConfig(), bias = smallConfig(), norm = smallConfig(), all = smallConfig();
  grouped.kvHeads = 1;
  bias.qkvBias = true;
  norm.qkNorm = true;
  all.heads = 4;
  all.kvHeads = 2;
  all.headDim = 6;  // heads * headDim is not hiddenSize
  all.qkvBias = all.qkNorm = true;
  all.tieEmbeddings = false;
  return {{"plain", smallConfig()},
          {"grouped queries", grouped},
          {"qkv bias", bias},
          {"qk norm", norm},
          {"all options, untied", all}};
}

inline std::vector<std::unique_ptr<Backend>> allBackends() {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(std::make_unique<ReferenceBackend>());
  backends.push_back(createCpuBackend(2));
  return backends;
}

// Draws values far larger than a real initialisation's, so that no gradient hides in rounding; norms stay
// near 1.
inline void randomise(ParameterSet& parameters, uint64_t seed) {
  for (size_t index = 0; index < parameters.entries().size(); ++index) {
    const ParameterEntry& entry = parameters.entries()[index];
    const bool norm = entry.name.find("norm") != std::string::npos;
    std::vector<float> drawn;
    for (int64_t i = 0; i < entry.count; ++i)
      drawn.push_back((norm ? 1.0f : 0.0f) + 0.3f * normal(seed, index, static_cast<uint64_t>(i)));
    parameters.write(entry, drawn.data());
  }
}

inline std::vector<int32_t> randomTokens(int64_t count, int64_t vocabSize, uint64_t seed) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<int32_t>(philox(seed, 7, i)[0] % static_cast<uint32_t>(vocabSize)));
  }
  return tokens;
}

inline std::vector<float> values(const Tensor& tensor) {
  return {tensor.f32(), tensor.f32() + tensor.count()};
}

// |a - b| / |b|, Euclidean.
inline double relativeDifference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    size += double{b[i]} * b[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace hdpo
