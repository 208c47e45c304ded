// 8-bit integers for mma.sync: how matrices lie in memory, and one group's products.
//
// A matrix is stored in panels of 16 rows, and a panel in chunks of one group of kGroup inputs each: bytes
// [16][kGroup], then float32 scales [16]. Rows and inputs are padded with zeros. A lane takes 16 neighbouring
// bytes of a row in one access: which input is which index of the sum does not matter as long as both
// operands agree.
//
// The groups of a row are cut into kSlices runs. Each run is summed in order, and then the runs are added in
// order: whichever kernel does it, the result has the same bits.
#pragma once

#include "cuda/element.h"
#include "cuda/tensor_core.h"

namespace hdpo::cuda {

constexpr int kGroup = 64, kPanel = 16;
constexpr int kRowTile = 8;                 // rows of x that one tensor instruction takes
constexpr int kScalesAt = kPanel * kGroup;  // in a chunk (one group of one panel)
constexpr int kChunkBytes = kScalesAt + kPanel * static_cast<int>(sizeof(float));
constexpr int kSlices = 8;
// 1.5 * 2^23. A float of it plus an integer n has n in its low mantissa bits. Adding it rounds, and
// subtracting it again makes a float of an integer without the slow conversion instruction.
constexpr float kRound = 12582912.0f;
constexpr int kRoundBits = 0x4B400000;

// What lane (g, t) of a warp holds of a weight's chunk: inputs 16t to 16t + 15 of rows g and g + 8.
struct WeightFragment {
  uint4 upper, lower;
  float upperScale, lowerScale;
};
// What it holds of 8 rows of x's chunk: the same inputs of row g, and the scales of rows 2t and 2t + 1.
struct RowFragment {
  uint4 values;
  float2 scales;
};

// Loads from memory, where each chunk is read once.
__device__ inline WeightFragment streamWeight(const unsigned char* chunk) {
  const int lane = laneIndex(), row = lane / 4;
  const auto* values = reinterpret_cast<const uint4*>(chunk + lane * 16);
  const auto* scales = reinterpret_cast<const float*>(chunk + kScalesAt) + row;
  return {__ldcs(values), __ldcs(values + kPanel / 2 * kGroup / 16), __ldcs(scales),
          __ldcs(scales + kPanel / 2)};
}
__device__ inline WeightFragment loadWeight(const unsigned char* chunk) {
  const int lane = laneIndex(), row = lane / 4;
  const auto* values = reinterpret_cast<const uint4*>(chunk + lane * 16);
  const auto* scales = reinterpret_cast<const float*>(chunk + kScalesAt) + row;
  return {values[0], values[kPanel / 2 * kGroup / 16], scales[0], scales[kPanel / 2]};
}
// half: 0 for rows 0 to 7 of the panel, 1 for the others.
__device__ inline RowFragment loadRows(const unsigned char* chunk, int half) {
  const int lane = laneIndex();
  const auto* scales = reinterpret_cast<const float*>(chunk + kScalesAt) + half * kRowTile + lane % 4 * 2;
  return {*reinterpret_cast<const uint4*>(chunk + half * kRowTile * kGroup + lane * 16),
          *reinterpret_cast<const float2*>(scales)};
}

// Adds one group's products of 16 outputs and 8 rows to sums, which are laid out as D of the tensor
// instruction, with the outputs as its rows.
__device__ inline void addGroup(float (&sums)[4], const WeightFragment& weight, const RowFragment& x) {
  const unsigned firstA[4] = {weight.upper.x, weight.lower.x, weight.upper.y, weight.lower.y};
  const unsigned secondA[4] = {weight.upper.z, weight.lower.z, weight.upper.w, weight.lower.w};
  const unsigned firstB[2] = {x.values.x, x.values.y}, secondB[2] = {x.values.z, x.values.w};
  const int nothing[4] = {kRoundBits, kRoundBits, kRoundBits, kRoundBits};
  int half[4], exact[4];
  multiplyAdd(half, firstA, firstB, nothing);
  multiplyAdd(exact, secondA, secondB, half);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float product = __uint_as_float(static_cast<unsigned>(exact[i])) - kRound;
    const float scale =
        (i < 2 ? weight.upperScale : weight.lowerScale) * (i % 2 == 0 ? x.scales.x : x.scales.y);
    sums[i] = fmaf(product, scale, sums[i]);
  }
}

// The operands and the result of a product.
template <typename T>
struct Int8Operands {
  T* out;
  const unsigned char *x, *weight;
  int64_t rows, outputs;
  int groups;

  __device__ int64_t panelBytes() const { return int64_t{groups} * kChunkBytes; }
  // Slice s is groups [sliceBegin(s), sliceBegin(s + 1)).
  __device__ int sliceBegin(int slice) const { return static_cast<int>(int64_t{groups} * slice / kSlices); }
  __device__ void store(int64_t row, int64_t output, float value) const {
    if (row < rows && output < outputs) out[row * outputs + output] = fromFloat<T>(value);
  }
};

}  // namespace hdpo::cuda
