// Products in 8-bit integers with many rows: tiles of outputs and rows, where one group after the other
// passes through shared memory and four groups are in flight. A warp has 32 x 32 results.
#pragma once

#include "cuda/int8_panels.h"

namespace hdpo::cuda {

constexpr int kWarpPanels = 2;  // per warp, of outputs and of rows
constexpr int kWarpTiles = kWarpPanels * kPanel / kRowTile;
constexpr int kStages = 4;

// A tile of outputWarps x rowWarps warps.
template <int outputWarps, int rowWarps>
struct Tile {
  static constexpr int kThreads = outputWarps * rowWarps * kWarp;
  static constexpr int kOutputPanels = outputWarps * kWarpPanels, kRowPanels = rowWarps * kWarpPanels;
  static constexpr int kChunks = kOutputPanels + kRowPanels;  // per group
  static constexpr int kWarps = outputWarps * rowWarps;
  static constexpr int kChunksOfWarp = (kChunks + kWarps - 1) / kWarps;
  static constexpr int kStageBytes = kChunks * kChunkBytes;
};

// The chunks that a warp brings of every group, the weight's first. Panels beyond the end are zeros.
template <typename T, class Shape>
struct WarpCopies {
  const unsigned char* from[Shape::kChunksOfWarp];
  bool valid[Shape::kChunksOfWarp];

  __device__ WarpCopies(const Int8Operands<T>& given, int64_t outputPanel, int64_t rowPanel) {
#pragma unroll
    for (int i = 0; i < Shape::kChunksOfWarp; ++i) {
      const int chunk = chunkOf(i), row = chunk - Shape::kOutputPanels;
      const int64_t panel = row >= 0 ? rowPanel + row : outputPanel + chunk;
      valid[i] = panel * kPanel < (row >= 0 ? given.rows : given.outputs);
      from[i] = (row >= 0 ? given.x : given.weight) + (valid[i] ? panel * given.panelBytes() : 0);
    }
  }
  __device__ void bring(unsigned char* stage, int group) const {
#pragma unroll
    for (int i = 0; i < Shape::kChunksOfWarp; ++i) {
      unsigned char* to = stage + chunkOf(i) * kChunkBytes;
      const unsigned char* chunk = from[i] + int64_t{group} * kChunkBytes;
#pragma unroll
      for (int first = 0; first < kChunkBytes; first += kWarp * 16) {
        const int at = first + laneIndex() * 16;
        if (chunkOf(i) < Shape::kChunks && at < kChunkBytes) copyAsync(to + at, chunk + at, valid[i]);
      }
    }
  }

 private:
  __device__ static int chunkOf(int i) { return i * Shape::kWarps + static_cast<int>(threadIdx.x) / kWarp; }
};

// The grid is (tiles of rows, tiles of outputs): blocks that share weights run together and find them in the
// cache. Shared memory has kStages stages, each with the chunks of one group.
template <typename T, int outputWarps, int rowWarps>
__global__ void __launch_bounds__(outputWarps* rowWarps* kWarp, 12 / (outputWarps * rowWarps))
    multiplyTiles(Int8Operands<T> given) {
  using Shape = Tile<outputWarps, rowWarps>;
  auto* shared = sharedMemory<unsigned char>();
  const int64_t outputPanel = int64_t{blockIdx.y} * Shape::kOutputPanels;
  const int64_t rowPanel = int64_t{blockIdx.x} * Shape::kRowPanels;
  const WarpCopies<T, Shape> copies(given, outputPanel, rowPanel);
  const auto bring = [&](int group) {
    if (group < given.groups) copies.bring(shared + group % kStages * Shape::kStageBytes, group);
    commitCopies();
  };
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int ownOutput = warp % outputWarps * kWarpPanels, ownRow = warp / outputWarps * kWarpPanels;
  float totals[kWarpPanels][kWarpTiles][4] = {};
  for (int first = 0; first < kStages - 1; ++first) bring(first);
  int group = 0;
  for (int slice = 0; slice < kSlices; ++slice) {
    const int end = given.sliceBegin(slice + 1);
    float sums[kWarpPanels][kWarpTiles][4] = {};
    for (; group < end; ++group) {
      waitForCopies<kStages - 2>();
      __syncthreads();  // everyone's copies are there, and everyone is done with the stage to be filled
      bring(group + kStages - 1);
      const unsigned char* stage = shared + group % kStages * Shape::kStageBytes;
      WeightFragment weight[kWarpPanels];
#pragma unroll
      for (int p = 0; p < kWarpPanels; ++p) weight[p] = loadWeight(stage + (ownOutput + p) * kChunkBytes);
#pragma unroll
      for (int n = 0; n < kWarpTiles; ++n) {
        const RowFragment rows =
            loadRows(stage + (Shape::kOutputPanels + ownRow + n / 2) * kChunkBytes, n % 2);
#pragma unroll
        for (int p = 0; p < kWarpPanels; ++p) addGroup(sums[p][n], weight[p], rows);
      }
    }
#pragma unroll
    for (int p = 0; p < kWarpPanels; ++p) {
#pragma unroll
      for (int n = 0; n < kWarpTiles; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) totals[p][n][i] += sums[p][n][i];
      }
    }
  }
  const int g = laneIndex() / 4, t = laneIndex() % 4;
#pragma unroll
  for (int p = 0; p < kWarpPanels; ++p) {
#pragma unroll
    for (int n = 0; n < kWarpTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        given.store((rowPanel + ownRow) * kPanel + n * kRowTile + 2 * t + i % 2,
                    (outputPanel + ownOutput + p) * kPanel + g + i / 2 * 8, totals[p][n][i]);
      }
    }
  }
}

template <typename T, int outputWarps, int rowWarps>
void launchTiles(Stream stream, const Int8Operands<T>& product) {
  using Shape = Tile<outputWarps, rowWarps>;
  const dim3 grid(static_cast<unsigned>(blocksOf(product.rows, Shape::kRowPanels * kPanel)),
                  static_cast<unsigned>(blocksOf(product.outputs, Shape::kOutputPanels * kPanel)));
  launch(multiplyTiles<T, outputWarps, rowWarps>, grid, Shape::kThreads, kStages * Shape::kStageBytes, stream,
         product);
}

}  // namespace hdpo::cuda
