// Rotary position embedding, in place, of the first `heads` heads of each row of qkv [N, width]. With
// half-split pairs and angle a = position * inverseFrequencies[i]:
//   x_i'         = x_i cos a - x_(i + E/2) sin a
//   x_(i + E/2)' = x_(i + E/2) cos a + x_i sin a
// Backward is the inverse rotation, by -a.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "cpu/cpu_backend.h"
#include "cpu/parallel.h"

namespace hdpo {

// Returns the table [positions][2][E / 2]: the cosines, then the sines of each position. Angles are float64,
// because float32 loses a radian's digits long before the end of a long context.
const float* CpuBackend::rotaryTable(int64_t positions, int64_t headDim, const float* inverseFrequencies) {
  RotaryTable& table = rotary_;
  const int64_t half = headDim / 2;
  const std::vector<float> frequencies(inverseFrequencies, inverseFrequencies + half);
  if (table.inverseFrequencies != frequencies) table = RotaryTable{frequencies, 0, {}};
  if (positions <= table.positions) return table.cosSin.data();
  const int64_t begin = table.positions;
  const int64_t end = std::max(positions, 2 * table.positions);
  table.cosSin.resize(static_cast<size_t>(end * headDim));
  for (int64_t i = 0; i < half; ++i) {
    for (int64_t position = begin; position < end; ++position) {
      float* entry = table.cosSin.data() + position * headDim;
      const double angle = static_cast<double>(position) * double{frequencies[static_cast<size_t>(i)]};
      entry[i] = static_cast<float>(std::cos(angle));
      entry[half + i] = static_cast<float>(std::sin(angle));
    }
  }
  table.positions = end;
  return table.cosSin.data();
}

void CpuBackend::rotary(const Tensor& qkv, const AttentionShape& shape, const int32_t* positions,
                        const float* inverseFrequencies, int direction) {
  const int64_t rows = qkv.shape[0], headDim = shape.headDim, half = headDim / 2;
  if (rows == 0) return;
  const int64_t width = shape.qkvWidth(), heads = shape.positionedHeads(), rotated = rows * heads * headDim;
  Profiler::Scope scope(profiler(), "rotary", 3.0 * static_cast<double>(rotated));
  assert(headDim % 2 == 0 && qkv.count() == rows * width && (direction == 1 || direction == -1));
  assert(*std::min_element(positions, positions + rows) >= 0);
  const float* table =
      rotaryTable(int64_t{*std::max_element(positions, positions + rows)} + 1, headDim, inverseFrequencies);
  const float sign = static_cast<float>(direction);
  float* data = qkv.f32();
#pragma omp parallel for schedule(static) if (rotated > parallelElements())
  for (int64_t row = 0; row < rows; ++row) {
    const float* cosine = table + positions[row] * headDim;
    const float* sine = cosine + half;
    for (int64_t head = 0; head < heads; ++head) {
      float* first = data + row * width + head * headDim;
      float* second = first + half;
#pragma omp simd
      for (int64_t i = 0; i < half; ++i) {
        const float a = first[i], b = second[i], s = sign * sine[i];
        first[i] = a * cosine[i] - b * s;
        second[i] = b * cosine[i] + a * s;
      }
    }
  }
}

}  // namespace hdpo
