#include "self_test/op_case.h"

#include <algorithm>
#include <cmath>

#include "self_test/cases.h"

namespace hdpo::self_test {

std::vector<int32_t> CaseShape::offsets() const {
  std::vector<int32_t> offsets = {0};
  // Boundaries grow quadratically: the first sequences are short, the last is the longest.
  for (int64_t s = 1; s < sequences; ++s) {
    const int64_t wanted = tokens * s * s / (sequences * sequences);
    const int64_t least = offsets.back() + int64_t{1};
    offsets.push_back(static_cast<int32_t>(wanted > least ? wanted : least));
  }
  offsets.push_back(static_cast<int32_t>(tokens));
  return offsets;
}

std::vector<int32_t> CaseShape::positions() const {
  std::vector<int32_t> positions(static_cast<size_t>(tokens));
  const std::vector<int32_t> starts = offsets();
  for (size_t s = 0; s + 1 < starts.size(); ++s) {
    for (int32_t t = starts[s]; t < starts[s + 1]; ++t) positions[static_cast<size_t>(t)] = t - starts[s];
  }
  return positions;
}

std::vector<int32_t> CaseShape::tokenIds() const {
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  for (size_t t = 0; t < ids.size(); ++t)
    ids[t] = static_cast<int32_t>(t * 7919 % static_cast<size_t>(vocabSize));
  return ids;
}

std::vector<float> inverseFrequencies(int64_t headDim) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < headDim / 2; ++i) {
    frequencies.push_back(std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(headDim)));
  }
  return frequencies;
}

int64_t Operand::count() const {
  int64_t product = 1;
  for (const int64_t dimension : dimensions) product *= dimension;
  return product;
}

size_t OpCase::input(std::vector<int64_t> dimensions, float scale, float offset, DType dtype) {
  operands.push_back({Role::Input, dtype, std::move(dimensions), scale, offset, false});
  return operands.size() - 1;
}

size_t OpCase::output(std::vector<int64_t> dimensions, DType dtype) {
  operands.push_back({Role::Output, dtype, std::move(dimensions), 1, 0, false});
  return operands.size() - 1;
}

size_t OpCase::inPlace(std::vector<int64_t> dimensions, float scale, float offset) {
  operands.push_back({Role::InPlace, DType::Float32, std::move(dimensions), scale, offset, false});
  return operands.size() - 1;
}

size_t OpCase::activationInput(DType type, std::vector<int64_t> dimensions, float scale) {
  return activation(Role::Input, type, std::move(dimensions), scale);
}

size_t OpCase::activationOutput(DType type, std::vector<int64_t> dimensions) {
  return activation(Role::Output, type, std::move(dimensions), 1);
}

size_t OpCase::activationInPlace(DType type, std::vector<int64_t> dimensions) {
  return activation(Role::InPlace, type, std::move(dimensions), 1);
}

size_t OpCase::activation(Role role, DType type, std::vector<int64_t> dimensions, float scale) {
  const bool rounded = type == DType::BFloat16;
  if (rounded) tolerance = std::max(tolerance, 5e-3);
  operands.push_back({role, type, std::move(dimensions), scale, 0, rounded});
  return operands.size() - 1;
}

double OpCase::operandBytes() const {
  double total = 0;
  for (const Operand& operand : operands) {
    const double once = static_cast<double>(operand.count()) * static_cast<double>(sizeOf(operand.dtype));
    total += operand.role == Role::InPlace ? 2 * once : once;
  }
  return total;
}

std::vector<OpRow> opTable(const Backend& tested) {
  const bool roundedToo = tested.activationType(DType::BFloat16) == DType::BFloat16;
  std::vector<OpRow> rows;
  appendModelCases(rows);
  if (roundedToo) appendBFloat16ModelCases(rows);
  appendElementwiseCases(rows);
  if (roundedToo) appendBFloat16ElementwiseCases(rows);
  appendLossCases(rows);
  if (roundedToo) appendBFloat16LossCases(rows);
  appendGenerationCases(rows);
  if (roundedToo) appendBFloat16GenerationCases(rows);
  return rows;
}

const std::vector<CaseShape>& checkedShapes() {
  static const std::vector<CaseShape> shapes = {
      // tokens, sequences, hidden, feedForward, heads, kvHeads, headDim, vocabSize
      {1, 1, 8, 16, 1, 1, 8, 17},
      {37, 4, 72, 104, 4, 2, 16, 131},
      {70, 3, 128, 200, 6, 2, 64, 1003},
      {131, 2, 264, 344, 3, 3, 128, 515},
  };
  return shapes;
}

}  // namespace hdpo::self_test
