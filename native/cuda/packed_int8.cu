// Packed products in 8-bit integers: out [R, N] = x [R, P] * weight [N, P]^T.
//
// Both operands are quantised symmetrically, with a float32 scale per row and group of kGroup inputs, and
// rounded as native/cpu/packed_int8.cpp does it: integers and scales equal the CPU's bit for bit, if that CPU
// fuses multiply and add (every one with AVX2 does). A group's products are summed exactly, on the tensor
// cores, and added times both scales in float32, with the layout and order of int8_panels.h. A row has the
// same bits whatever rows are beside it.
//
// The kernel is chosen by an H100's numbers (3.35 TB/s from memory, about 5.5 from its cache, at most 4096
// 8-bit multiply-adds per cycle and multiprocessor); none of this has been timed:
//   few rows   At most 16, or 64 where weights are narrow. Bound by reading N * P bytes of weights, which go
//              straight from memory to registers, once, for all rows. The warps of a block share P, so that
//              1024 outputs too keep 64 multiprocessors busy, with 16 KB or more in flight on each. x comes
//              from the caches R / 16 times as often as weights come from memory.
//   tiles      96 x 128 or 64 x 64 (int8_tiles.h), which read x and weights about as often. With 64 inputs
//              per group, scales take three float operations for each register that two tensor instructions
//              fill: that bounds these kernels at about half of the tensor cores' rate.
// For many rows the alternative is to unpack the weights to bfloat16 and call cuBLAS. That moves 3 N * P
// bytes first (at 256 rows this takes as long as the product), its products run no faster than these, and it
// would sample prompts and replies from two different models.
#include <cmath>
#include <limits>

#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/int8_tiles.h"
#include "cuda/packed_int8.h"
#include "cuda/reduce.h"

namespace hdpo::cuda {

namespace {

constexpr int kPackThreads = 256, kLanesOfGroup = 8, kValuesOfLane = kGroup / kLanesOfGroup;

template <typename T>
struct Packing {
  unsigned char* panels;
  const T* matrix;  // [rows, inputs]
  int64_t rows, inputs, groups;
};

// Loads a row's values from `begin` on, and zeros beyond its end.
template <typename T, bool packs>
__device__ void loadValues(float (&values)[kValuesOfLane], const T* row, int64_t begin, int64_t inputs) {
  if constexpr (packs) {
#pragma unroll
    for (int first = 0; first < kValuesOfLane; first += kPack<T>) {
      Pack<T> pack{};
      if (begin + first < inputs) pack = loadPack(row + begin + first);
#pragma unroll
      for (int i = 0; i < kPack<T>; ++i) values[first + i] = toFloat(pack.values[i]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kValuesOfLane; ++i) values[i] = begin + i < inputs ? toFloat(row[begin + i]) : 0.0f;
  }
}

// Eight lanes take one row and group; padding rows are included.
template <typename T, bool packs>
__global__ void __launch_bounds__(kPackThreads) packGroups(Packing<T> given) {
  const int lane = static_cast<int>(threadIdx.x) % kLanesOfGroup;
  const int64_t unit = (int64_t{blockIdx.x} * kPackThreads + threadIdx.x) / kLanesOfGroup;
  const int64_t row = unit / given.groups, group = unit % given.groups;
  float values[kValuesOfLane] = {};
  if (row < given.rows) {
    loadValues<T, packs>(values, given.matrix + row * given.inputs, group * kGroup + lane * kValuesOfLane,
                         given.inputs);
  }
  float largest = 0;
#pragma unroll
  for (int i = 0; i < kValuesOfLane; ++i) largest = Largest()(largest, fabsf(values[i]));
#pragma unroll
  for (int with = kLanesOfGroup / 2; with > 0; with /= 2) {
    largest = Largest()(largest, __shfl_xor_sync(kAllLanes, largest, with));
  }
  if (row >= blocksOf(given.rows, kPanel) * kPanel) return;
  const bool finite = largest <= std::numeric_limits<float>::max();
  const float scale = largest / 127.0f;
  const bool usable = finite && scale >= std::numeric_limits<float>::min();  // 1 / scale is finite
  const float inverse = 1.0f / scale;
  unsigned words[2] = {};
#pragma unroll
  for (int i = 0; i < kValuesOfLane; ++i) {
    const unsigned rounded = __float_as_uint(fmaf(values[i], inverse, kRound)) & 255u;
    if (usable) words[i / 4] |= rounded << i % 4 * 8;
  }
  unsigned char* chunk = given.panels + (row / kPanel * given.groups + group) * kChunkBytes;
  const auto rowOfPanel = static_cast<int>(row % kPanel);
  *reinterpret_cast<uint2*>(chunk + rowOfPanel * kGroup + lane * kValuesOfLane) =
      make_uint2(words[0], words[1]);
  if (lane == 0) {
    reinterpret_cast<float*>(chunk + kScalesAt)[rowOfPanel] =
        usable ? scale : (finite ? 0.0f : std::numeric_limits<float>::quiet_NaN());
  }
}

constexpr int64_t kMostFewRows = 64;
constexpr int kFewRowsStride = kPanel + 4;

// Blocks that a multiprocessor should hold.
template <int rowTiles>
constexpr int kResident = rowTiles == 1   ? 4
                          : rowTiles == 2 ? 3
                                          : 2;

// One block per panel of outputs and one warp per slice, for all rows. Shared memory has sums
// [kSlices][rows][outputs], where the outputs are padded so that rows 2t of a fragment fall into different
// banks.
template <typename T, int rowTiles>
__global__ void __launch_bounds__(kSlices* kWarp, kResident<rowTiles>)
    multiplyFewRows(Int8Operands<T> given) {
  constexpr int kAhead = rowTiles > 6 ? 1 : 2;  // groups on their way from memory
  constexpr int kRows = rowTiles * kRowTile, kStride = kFewRowsStride;
  const int slice = static_cast<int>(threadIdx.x) / kWarp;
  const int begin = given.sliceBegin(slice), end = given.sliceBegin(slice + 1);
  const int64_t panel = blockIdx.x, panelBytes = given.panelBytes();
  const unsigned char* weight = given.weight + panel * panelBytes;
  WeightFragment ahead[kAhead];
#pragma unroll
  for (int a = 0; a < kAhead; ++a) {
    if (begin + a < end) ahead[a] = streamWeight(weight + int64_t{begin + a} * kChunkBytes);
  }
  float sums[rowTiles][4] = {};
  for (int first = begin; first < end; first += kAhead) {
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int group = first + a;
      if (group >= end) break;
      const unsigned char* x = given.x + int64_t{group} * kChunkBytes;
#pragma unroll
      for (int n = 0; n < rowTiles; ++n) addGroup(sums[n], ahead[a], loadRows(x + n / 2 * panelBytes, n % 2));
      if (group + kAhead < end) ahead[a] = streamWeight(weight + int64_t{group + kAhead} * kChunkBytes);
    }
  }
  auto* shared = sharedMemory<float>();
  const int g = laneIndex() / 4, t = laneIndex() % 4;
#pragma unroll
  for (int n = 0; n < rowTiles; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = n * kRowTile + 2 * t + i % 2, output = g + i / 2 * 8;
      shared[(slice * kRows + row) * kStride + output] = sums[n][i];
    }
  }
  __syncthreads();
  for (int item = static_cast<int>(threadIdx.x); item < kRows * kPanel; item += kSlices * kWarp) {
    const int row = item / kPanel, output = item % kPanel;
    float total = 0;
#pragma unroll
    for (int s = 0; s < kSlices; ++s) total += shared[(s * kRows + row) * kStride + output];
    given.store(row, panel * kPanel + output, total);
  }
}

template <typename T, int rowTiles>
void launchFewRows(Stream stream, const Int8Operands<T>& product) {
  const auto blocks = static_cast<unsigned>(blocksOf(product.outputs, kPanel));
  constexpr size_t kSharedBytes = sizeof(float) * kSlices * rowTiles * kRowTile * kFewRowsStride;
  launch(multiplyFewRows<T, rowTiles>, blocks, kSlices * kWarp, kSharedBytes, stream, product);
}

template <typename T>
void chooseFewRows(Stream stream, const Int8Operands<T>& product) {
  if (product.rows <= kRowTile) return launchFewRows<T, 1>(stream, product);
  switch (blocksOf(product.rows, kPanel)) {
    case 1:
      return launchFewRows<T, 2>(stream, product);
    case 2:
      return launchFewRows<T, 4>(stream, product);
    case 3:
      return launchFewRows<T, 6>(stream, product);
    default:
      return launchFewRows<T, 8>(stream, product);
  }
}

}  // namespace

size_t packedInt8Bytes(const MatrixShape& shape) {
  return static_cast<size_t>(blocksOf(shape.rows, kPanel) * blocksOf(shape.columns, kGroup)) * kChunkBytes;
}

template <typename T>
void packInt8(Stream stream, void* panels, const T* matrix, const MatrixShape& shape) {
  const auto [rows, inputs] = shape;
  const Packing<T> packing{static_cast<unsigned char*>(panels), matrix, rows, inputs,
                           blocksOf(inputs, kGroup)};
  const int64_t lanes = blocksOf(rows, kPanel) * kPanel * packing.groups * kLanesOfGroup;
  const auto blocks = static_cast<unsigned>(blocksOf(lanes, kPackThreads));
  const auto kernel = inPacks<T>(inputs, matrix) ? packGroups<T, true> : packGroups<T, false>;
  launch(kernel, blocks, kPackThreads, 0, stream, packing);
}

template <typename T>
void multiplyInt8(Stream stream, T* out, const Int8Product& given, int64_t busyBlocks) {
  if (given.rows == 0 || given.outputs == 0) return;
  const Int8Operands<T> product{out,
                                static_cast<const unsigned char*>(given.x),
                                static_cast<const unsigned char*>(given.weight),
                                given.rows,
                                given.outputs,
                                static_cast<int>(blocksOf(given.inputs, kGroup))};
  // Few blocks of small tiles leave much of the device idle, which one block per panel does not.
  const bool narrow = blocksOf(given.outputs, 64) < busyBlocks / 2;
  if (given.rows <= 16 || (given.rows <= kMostFewRows && narrow)) return chooseFewRows(stream, product);
  const int64_t largeTiles = blocksOf(given.rows, 128) * blocksOf(given.outputs, 96);
  return largeTiles >= busyBlocks ? launchTiles<T, 3, 4>(stream, product)
                                  : launchTiles<T, 2, 2>(stream, product);
}

#define HDPO_INSTANTIATE(T)                                               \
  template void packInt8<T>(Stream, void*, const T*, const MatrixShape&); \
  template void multiplyInt8<T>(Stream, T*, const Int8Product&, int64_t);
HDPO_INSTANTIATE(float)
HDPO_INSTANTIATE(BFloat16)
#undef HDPO_INSTANTIATE

// --- The backend ---

// x is packed first, as the weights have been.
void CudaBackend::multiplyInt8(const Tensor& out, const Tensor& x, const PackedWeight& weight) {
  void* packed = workspace(packedInt8Bytes(matrixShape(x)));
  withType(x.dtype, "packedMatmul", [&](auto element) {
    using T = decltype(element);
    packInt8<T>(stream_, packed, dataOf<T>(x), matrixShape(x));
  });
  withType(out.dtype, "packedMatmul", [&](auto element) {
    using T = decltype(element);
    cuda::multiplyInt8<T>(stream_, dataOf<T>(out),
                          {.x = packed,
                           .weight = weight.data,
                           .rows = x.shape[0],
                           .outputs = weight.outputs,
                           .inputs = weight.inputs});
  });
}

}  // namespace hdpo::cuda
