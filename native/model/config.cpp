#include "model/config.h"

#include <cmath>
#include <string>

#include "core/error.h"

namespace hdpo {

namespace {

// Upper limits keep every product of sizes far inside int64; they are well beyond any published model.
constexpr int64_t kMaxCount = int64_t{1} << 10;  // layers, heads, head dimension
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxPositions = int64_t{1} << 30;

void requireRange(const char* field, int64_t value, int64_t largest) {
  require(value >= 1 && value <= largest, "ERR_CONFIG",
          std::string(field) + " must be between 1 and " + std::to_string(largest) + ", but is " +
              std::to_string(value));
}

void requirePositive(const char* field, float value) {
  require(std::isfinite(value) && value > 0, "ERR_CONFIG",
          std::string(field) + " must be a finite number above 0, but is " + std::to_string(value));
}

void validateScaling(const RopeScaling& scaling) {
  if (scaling.factor == 0) return;
  require(std::isfinite(scaling.factor) && scaling.factor >= 1, "ERR_CONFIG",
          "ropeScaling.factor must be at least 1, but is " + std::to_string(scaling.factor));
  requirePositive("ropeScaling.lowFrequencyFactor", scaling.lowFrequencyFactor);
  require(
      std::isfinite(scaling.highFrequencyFactor) && scaling.highFrequencyFactor > scaling.lowFrequencyFactor,
      "ERR_CONFIG",
      "ropeScaling.highFrequencyFactor must be above lowFrequencyFactor, " +
          std::to_string(scaling.lowFrequencyFactor) + ", but is " +
          std::to_string(scaling.highFrequencyFactor));
  requireRange("ropeScaling.originalMaxPositions", scaling.originalMaxPositions, kMaxPositions);
}

}  // namespace

void validate(const ModelConfig& config) {
  requireRange("vocabSize", config.vocabSize, kMaxVocab);
  requireRange("hiddenSize", config.hiddenSize, kMaxWidth);
  requireRange("layers", config.layers, kMaxCount);
  requireRange("heads", config.heads, kMaxCount);
  requireRange("kvHeads", config.kvHeads, kMaxCount);
  requireRange("headDim", config.headDim, kMaxCount);
  requireRange("intermediateSize", config.intermediateSize, kMaxWidth);
  requireRange("maxPositions", config.maxPositions, kMaxPositions);
  require(config.heads % config.kvHeads == 0, "ERR_CONFIG",
          "heads must be a multiple of kvHeads, but heads is " + std::to_string(config.heads) +
              " and kvHeads is " + std::to_string(config.kvHeads));
  require(config.headDim % 2 == 0, "ERR_CONFIG",
          "headDim must be even (rotary embedding turns pairs), but is " + std::to_string(config.headDim));
  requirePositive("ropeTheta", config.ropeTheta);
  requirePositive("rmsNormEpsilon", config.rmsNormEpsilon);
  validateScaling(config.ropeScaling);
}

}  // namespace hdpo
