// Packed causal attention on the tensor cores; shapes and equations: native/cpu/attention.cpp. No [T, T]
// matrix exists: a block has a tile of rows and walks over tiles of the others, two of them in flight where
// both fit.
//   forward   a tile of queries walks over keys and values, with the online softmax
//   dot       sum_e dO_e out_e of every row and head
//   keys      dK, dV: a tile of keys walks over the queries of all heads of its group, scores transposed, so
//             that their registers are at once the operand of the next product
//   queries   dQ: a tile of queries walks over keys
// Both halves of the backward pass compute scores again: every sum has one owner and a fixed order, at 7
// products where atomics would need 5.
//
// Tiles of a batch are numbered: sequence s begins at tile offsets[s] / kTileRows + s, which leaves room for
// the part of a tile at the end of each sequence before it. A block finds its sequence by bisection.
#include <cmath>

#include "cuda/attention.h"
#include "cuda/attention_tile.h"
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

constexpr int kWarps = kAttentionWarps, kThreads = kAttentionThreads;
// Rows of the tiles that a backward block walks over. Two accumulators and the three registers of a float
// operand leave room for no more.
template <typename T>
constexpr int kWalkRows = sizeof(T) == 2 ? 32 : 16;
// How many of those tiles are in shared memory at once: the next is on its way while one is used, where both
// fit into the 99 KiB that a block has on GPUs for desktops.
template <typename T, int width>
constexpr int kWalkStages = sizeof(T) == 2 || width <= 64 ? 2 : 1;

template <typename T>
struct Attention {
  const T* qkv;
  const T* out;      // backward
  const T* gradOut;  // backward
  T* result;         // out, or gradQkv
  float* logSumExp;
  float* dots;  // [N, H], backward
  const int32_t* offsets;
  int64_t tokens;
  int sequences, heads, kvHeads, headDim;
  float scale;
  bool packed;

  __device__ int64_t width() const { return int64_t{heads + 2 * kvHeads} * headDim; }
  __device__ int64_t outWidth() const { return int64_t{heads} * headDim; }
};

// A tile's place in the batch; length 0: there is none.
struct Tile {
  int64_t sequenceBegin = 0;
  int sequenceLength = 0, begin = 0, length = 0;
};

__device__ inline Tile tileAt(const int32_t* offsets, int sequences, int index) {
  int low = 0, high = sequences;  // the last sequence that begins at or before this tile is in [low, high)
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (offsets[middle] / kTileRows + middle <= index) {
      low = middle;
    } else {
      high = middle;
    }
  }
  Tile tile;
  tile.sequenceBegin = offsets[low];
  tile.sequenceLength = offsets[low + 1] - offsets[low];
  tile.begin = (index - (offsets[low] / kTileRows + low)) * kTileRows;
  const int left = tile.sequenceLength - tile.begin;
  tile.length = left < 0 ? 0 : (left < kTileRows ? left : kTileRows);
  return tile;
}

int64_t tilesOf(const PackedAttentionShape& shape) { return shape.tokens / kTileRows + shape.sequences; }

// --- Forward ---

template <typename T, int width>
__global__ void __launch_bounds__(kThreads, 2) forward(Attention<T> given) {
  constexpr int kKeys = kForwardKeys<T, width>, kStride = width + kTilePad;
  // The longest walks first.
  const Tile tile = tileAt(given.offsets, given.sequences, static_cast<int>(gridDim.x - 1 - blockIdx.x));
  if (tile.length == 0) return;
  const int head = static_cast<int>(blockIdx.y), kvHead = head / (given.heads / given.kvHeads);
  const int64_t rowStride = given.width();
  const T* base = given.qkv + tile.sequenceBegin * rowStride;
  const T* keys = base + int64_t{given.heads + kvHead} * given.headDim;
  const T* values = keys + int64_t{given.kvHeads} * given.headDim;
  const int visible = tile.begin + tile.length;
  const auto copyKeys = [&](int step, T* target) {
    const int first = step * kKeys, valid = visible - first;
    copyTile<T, kKeys, width, kThreads>(target, keys + first * rowStride, rowStride, valid, given.headDim,
                                        given.packed);
    copyTile<T, kKeys, width, kThreads>(target + kKeys * kStride, values + first * rowStride, rowStride,
                                        valid, given.headDim, given.packed);
  };
  T* queryTile = sharedMemory<T>();
  copyTile<T, kTileRows, width, kThreads>(queryTile,
                                          base + tile.begin * rowStride + int64_t{head} * given.headDim,
                                          rowStride, tile.length, given.headDim, given.packed);
  const int warpRow = static_cast<int>(threadIdx.x) / kWarp * 16;
  AttendedRows<width> rows;
  walkKeys<T, width>(rows, queryTile + warpRow * kStride, queryTile + kTileRows * kStride,
                     tile.begin + warpRow, (visible + kKeys - 1) / kKeys, given.scale * kLog2E, copyKeys);
  float inverse[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    inverse[half] = __fdividef(1.0f, rows.totals[half]);
    const int row = warpRow + laneIndex() / 4 + 8 * half;
    if (laneIndex() % 4 == 0 && row < tile.length) {
      given.logSumExp[(tile.sequenceBegin + tile.begin + row) * given.heads + head] =
          rows.largest[half] * given.scale + logf(rows.totals[half]);
    }
  }
  storeRows<T, width>(
      given.result + (tile.sequenceBegin + tile.begin) * given.outWidth() + int64_t{head} * given.headDim,
      given.outWidth(), rows.sums, inverse, warpRow, tile.length, given.headDim, given.packed);
}

// --- Backward ---

// One warp per row and head.
template <typename T>
__global__ void __launch_bounds__(kThreads) dot(Attention<T> given) {
  const int64_t item = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp;
  if (item >= given.tokens * given.heads) return;
  const T *out = given.out + item * given.headDim, *grad = given.gradOut + item * given.headDim;
  float sum = 0;
  for (int e = laneIndex(); e < given.headDim; e += kWarp) sum += toFloat(out[e]) * toFloat(grad[e]);
  sum = warpSum(sum);
  if (laneIndex() == 0) given.dots[item] = sum;
}

template <typename T, int width>
constexpr size_t backwardSharedBytes() {
  constexpr int kStages = kWalkStages<T, width>;
  return 2 * tileBytes<T, width>(kTileRows) + 2 * kStages * tileBytes<T, width>(kWalkRows<T>) +
         2 * kStages * kWalkRows<T> * sizeof(float);
}

// Scores [16, columns] -> probabilities, and their gradients (of the unscaled scores) in place of
// `gradients`, which come as dP. Rows are queries or, transposed, keys.
template <bool transposed, int columns>
__device__ inline void softmaxBackward(float (&scores)[columns / 8][4], float (&gradients)[columns / 8][4],
                                       int firstRow, int firstColumn, int queries, float scale,
                                       const float* logSumExp, const float* dots,
                                       const float (&ownLogSumExp)[2], const float (&ownDots)[2]) {
  const int g = laneIndex() / 4, t = laneIndex() % 4;
#pragma unroll
  for (int n = 0; n < columns / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int inTile = 8 * n + 2 * t + i % 2, row = firstRow + g + i / 2 * 8, column = firstColumn + inTile;
      const int key = transposed ? row : column, query = transposed ? column : row;
      const float total = transposed ? logSumExp[inTile] : ownLogSumExp[i / 2];
      const float sum = transposed ? dots[inTile] : ownDots[i / 2];
      const bool sees = key <= query && query < queries;
      const float probability = sees ? exp2f((scores[n][i] * scale - total) * kLog2E) : 0.0f;
      scores[n][i] = probability;
      gradients[n][i] = probability * (gradients[n][i] - sum);
    }
  }
}

template <typename T, int width>
__global__ void __launch_bounds__(kThreads) keys(Attention<T> given) {
  constexpr int kStride = width + kTilePad, kStages = kWalkStages<T, width>;
  const Tile tile = tileAt(given.offsets, given.sequences, static_cast<int>(blockIdx.x));
  if (tile.length == 0) return;
  const int kvHead = static_cast<int>(blockIdx.y), groupHeads = given.heads / given.kvHeads;
  const int64_t rowStride = given.width(), outStride = given.outWidth();
  const int64_t keyOffset = int64_t{given.heads + kvHead} * given.headDim;
  const int64_t valueOffset = keyOffset + int64_t{given.kvHeads} * given.headDim;
  const T* base = given.qkv + tile.sequenceBegin * rowStride;
  const T* gradOut = given.gradOut + tile.sequenceBegin * outStride;

  T* keyTile = sharedMemory<T>();
  T* valueTile = keyTile + kTileRows * kStride;
  T* walkTiles = valueTile + kTileRows * kStride;  // [kStages][Q or dO][kWalkRows<T>][kStride]
  float* rowValues = reinterpret_cast<float*>(walkTiles + 2 * kStages * kWalkRows<T> *
                                                              kStride);  // [kStages][L or dot][kWalkRows<T>]

  // Steps: the query tiles that see these keys, for one head after the other.
  const int firstQuery = tile.begin / kWalkRows<T> * kWalkRows<T>;
  const int tilesOfHead = (tile.sequenceLength - firstQuery + kWalkRows<T> - 1) / kWalkRows<T>,
            walk = tilesOfHead * groupHeads;
  const auto copyQueries = [&](int step) {
    const int head = kvHead * groupHeads + step / tilesOfHead,
              first = firstQuery + step % tilesOfHead * kWalkRows<T>;
    const int valid = tile.sequenceLength - first;
    const int64_t column = int64_t{head} * given.headDim;
    T* target = walkTiles + step % kStages * 2 * kWalkRows<T> * kStride;
    copyTile<T, kWalkRows<T>, width, kThreads>(target, base + first * rowStride + column, rowStride, valid,
                                               given.headDim, given.packed);
    copyTile<T, kWalkRows<T>, width, kThreads>(target + kWalkRows<T> * kStride,
                                               gradOut + first * outStride + column, outStride, valid,
                                               given.headDim, given.packed);
    const int row = static_cast<int>(threadIdx.x);
    if (row < kWalkRows<T>) {
      float* values = rowValues + step % kStages * 2 * kWalkRows<T>;
      const int64_t at = (tile.sequenceBegin + first + row) * given.heads + head;
      values[row] = row < valid ? given.logSumExp[at] : 0.0f;
      values[kWalkRows<T> + row] = row < valid ? given.dots[at] : 0.0f;
    }
  };
  copyTile<T, kTileRows, width, kThreads>(keyTile, base + tile.begin * rowStride + keyOffset, rowStride,
                                          tile.length, given.headDim, given.packed);
  copyTile<T, kTileRows, width, kThreads>(valueTile, base + tile.begin * rowStride + valueOffset, rowStride,
                                          tile.length, given.headDim, given.packed);
  copyQueries(0);
  commitCopies();

  const int warpRow = static_cast<int>(threadIdx.x) / kWarp * 16;
  float gradKeys[width / 8][4] = {}, gradValues[width / 8][4] = {};
  const float unused[2] = {};
  for (int step = 0; step < walk; ++step) {
    if (kStages > 1 && step + 1 < walk) copyQueries(step + 1);
    commitCopies();
    waitForCopies<kStages - 1>();
    __syncthreads();
    const T* queryTile = walkTiles + step % kStages * 2 * kWalkRows<T> * kStride;
    const T* gradTile = queryTile + kWalkRows<T> * kStride;
    const float* logSumExp = rowValues + step % kStages * 2 * kWalkRows<T>;
    float scores[kWalkRows<T> / 8][4], gradients[kWalkRows<T> / 8][4];
    scoreProducts<T, width, kWalkRows<T>>(scores, keyTile + warpRow * kStride, queryTile);
    scoreProducts<T, width, kWalkRows<T>>(gradients, valueTile + warpRow * kStride, gradTile);
    softmaxBackward<true, kWalkRows<T>>(scores, gradients, tile.begin + warpRow,
                                        firstQuery + step % tilesOfHead * kWalkRows<T>, tile.sequenceLength,
                                        given.scale, logSumExp, logSumExp + kWalkRows<T>, unused, unused);
    addWeighted<T, width, kWalkRows<T>>(gradValues, scores, gradTile);
    addWeighted<T, width, kWalkRows<T>>(gradKeys, gradients, queryTile);
    __syncthreads();  // the next copy goes where this tile was
    if (kStages == 1 && step + 1 < walk) copyQueries(step + 1);
  }
  waitForCopies<0>();
  T* result = given.result + (tile.sequenceBegin + tile.begin) * rowStride;
  const float keyFactors[2] = {given.scale, given.scale}, valueFactors[2] = {1, 1};
  storeRows<T, width>(result + keyOffset, rowStride, gradKeys, keyFactors, warpRow, tile.length,
                      given.headDim, given.packed);
  storeRows<T, width>(result + valueOffset, rowStride, gradValues, valueFactors, warpRow, tile.length,
                      given.headDim, given.packed);
}

template <typename T, int width>
__global__ void __launch_bounds__(kThreads) queries(Attention<T> given) {
  constexpr int kStride = width + kTilePad, kStages = kWalkStages<T, width>;
  const Tile tile = tileAt(given.offsets, given.sequences, static_cast<int>(gridDim.x - 1 - blockIdx.x));
  if (tile.length == 0) return;
  const int head = static_cast<int>(blockIdx.y), kvHead = head / (given.heads / given.kvHeads);
  const int64_t rowStride = given.width(), column = int64_t{head} * given.headDim;
  const T* base = given.qkv + tile.sequenceBegin * rowStride;
  const T* keyRows = base + int64_t{given.heads + kvHead} * given.headDim;
  const T* valueRows = keyRows + int64_t{given.kvHeads} * given.headDim;

  T* queryTile = sharedMemory<T>();
  T* gradTile = queryTile + kTileRows * kStride;
  T* walkTiles = gradTile + kTileRows * kStride;  // [kStages][K or V][kWalkRows<T>][kStride]
  const int visible = tile.begin + tile.length, walk = (visible + kWalkRows<T> - 1) / kWalkRows<T>;
  const auto copyKeys = [&](int step) {
    T* target = walkTiles + step % kStages * 2 * kWalkRows<T> * kStride;
    const int first = step * kWalkRows<T>, valid = visible - first;
    copyTile<T, kWalkRows<T>, width, kThreads>(target, keyRows + first * rowStride, rowStride, valid,
                                               given.headDim, given.packed);
    copyTile<T, kWalkRows<T>, width, kThreads>(target + kWalkRows<T> * kStride, valueRows + first * rowStride,
                                               rowStride, valid, given.headDim, given.packed);
  };
  copyTile<T, kTileRows, width, kThreads>(queryTile, base + tile.begin * rowStride + column, rowStride,
                                          tile.length, given.headDim, given.packed);
  copyTile<T, kTileRows, width, kThreads>(
      gradTile, given.gradOut + (tile.sequenceBegin + tile.begin) * given.outWidth() + column,
      given.outWidth(), tile.length, given.headDim, given.packed);
  copyKeys(0);
  commitCopies();

  const int warpRow = static_cast<int>(threadIdx.x) / kWarp * 16;
  float logSumExp[2] = {}, dots[2] = {};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = warpRow + laneIndex() / 4 + 8 * half;
    if (row >= tile.length) continue;
    const int64_t at = (tile.sequenceBegin + tile.begin + row) * given.heads + head;
    logSumExp[half] = given.logSumExp[at];
    dots[half] = given.dots[at];
  }
  float gradQueries[width / 8][4] = {};
  for (int step = 0; step < walk; ++step) {
    if (kStages > 1 && step + 1 < walk) copyKeys(step + 1);
    commitCopies();
    waitForCopies<kStages - 1>();
    __syncthreads();
    const T* keyTile = walkTiles + step % kStages * 2 * kWalkRows<T> * kStride;
    float scores[kWalkRows<T> / 8][4], gradients[kWalkRows<T> / 8][4];
    scoreProducts<T, width, kWalkRows<T>>(scores, queryTile + warpRow * kStride, keyTile);
    scoreProducts<T, width, kWalkRows<T>>(gradients, gradTile + warpRow * kStride,
                                          keyTile + kWalkRows<T> * kStride);
    softmaxBackward<false, kWalkRows<T>>(scores, gradients, tile.begin + warpRow, step * kWalkRows<T>,
                                         tile.sequenceLength, given.scale, nullptr, nullptr, logSumExp, dots);
    addWeighted<T, width, kWalkRows<T>>(gradQueries, gradients, keyTile);
    __syncthreads();  // the next copy goes where this tile was
    if (kStages == 1 && step + 1 < walk) copyKeys(step + 1);
  }
  waitForCopies<0>();
  const float factors[2] = {given.scale, given.scale};
  storeRows<T, width>(given.result + (tile.sequenceBegin + tile.begin) * rowStride + column, rowStride,
                      gradQueries, factors, warpRow, tile.length, given.headDim, given.packed);
}

template <typename T>
Attention<T> describe(const PackedAttentionShape& shape, const T* qkv, const int32_t* offsets) {
  Attention<T> given{};
  given.qkv = qkv;
  given.offsets = offsets;
  given.tokens = shape.tokens;
  given.sequences = static_cast<int>(shape.sequences);
  given.heads = static_cast<int>(shape.heads);
  given.kvHeads = static_cast<int>(shape.kvHeads);
  given.headDim = static_cast<int>(shape.headDim);
  given.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.headDim)));
  return given;
}

template <typename T, int width>
void launchForward(Stream stream, const Attention<T>& given, unsigned tiles) {
  launch(forward<T, width>, dim3(tiles, static_cast<unsigned>(given.heads)), kThreads,
         forwardSharedBytes<T, width>(), stream, given);
}
template <typename T, int width>
void launchBackward(Stream stream, const Attention<T>& given, unsigned tiles) {
  constexpr size_t kSharedBytes = backwardSharedBytes<T, width>();
  launch(keys<T, width>, dim3(tiles, static_cast<unsigned>(given.kvHeads)), kThreads, kSharedBytes, stream,
         given);
  launch(queries<T, width>, dim3(tiles, static_cast<unsigned>(given.heads)), kThreads, kSharedBytes, stream,
         given);
}

}  // namespace

bool supportsAttention(const AttentionShape& shape) {
  return shape.headDim >= 1 && shape.headDim <= 128 && shape.heads % shape.kvHeads == 0;
}

template <typename T>
void attention(Stream stream, T* out, float* logSumExp, const T* qkv, const int32_t* offsets,
               const PackedAttentionShape& shape) {
  if (shape.tokens == 0) return;
  Attention<T> given = describe(shape, qkv, offsets);
  given.result = out;
  given.logSumExp = logSumExp;
  given.packed = inPacks<T>(shape.headDim, qkv, out);
  const auto tiles = static_cast<unsigned>(tilesOf(shape));
  const auto run = shape.headDim <= 32   ? launchForward<T, 32>
                   : shape.headDim <= 64 ? launchForward<T, 64>
                                         : launchForward<T, 128>;
  run(stream, given, tiles);
}

size_t attentionBackwardWorkspaceBytes(const PackedAttentionShape& shape) {
  Workspace workspace;
  workspace.take<float>(shape.tokens * shape.heads);
  return workspace.bytes();
}

template <typename T>
void attentionBackward(Stream stream, T* gradQkv, const T* gradOut, const T* qkv, const T* out,
                       const float* logSumExp, const int32_t* offsets, const PackedAttentionShape& shape,
                       void* workspace) {
  if (shape.tokens == 0) return;
  Attention<T> given = describe(shape, qkv, offsets);
  given.out = out;
  given.gradOut = gradOut;
  given.result = gradQkv;
  given.logSumExp = const_cast<float*>(logSumExp);
  given.dots = Workspace(workspace).take<float>(shape.tokens * shape.heads);
  given.packed = inPacks<T>(shape.headDim, qkv, gradOut, gradQkv);
  launch(dot<T>, static_cast<unsigned>(blocksOf(shape.tokens * shape.heads, kWarps)), kThreads, 0, stream,
         given);
  const auto tiles = static_cast<unsigned>(tilesOf(shape));
  const auto run = shape.headDim <= 32   ? launchBackward<T, 32>
                   : shape.headDim <= 64 ? launchBackward<T, 64>
                                         : launchBackward<T, 128>;
  run(stream, given, tiles);
}

#define HDPO_INSTANTIATE(T)                                                                               \
  template void attention(Stream, T*, float*, const T*, const int32_t*, const PackedAttentionShape&);     \
  template void attentionBackward(Stream, T*, const T*, const T*, const T*, const float*, const int32_t*, \
                                  const PackedAttentionShape&, void*);
HDPO_INSTANTIATE(float)
HDPO_INSTANTIATE(BFloat16)
#undef HDPO_INSTANTIATE

// --- The backend ---

namespace {

PackedAttentionShape packedShape(const Tensor& qkv, int64_t sequences, const AttentionShape& heads) {
  require(supportsAttention(heads), "ERR_NOT_IMPLEMENTED",
          "attention on CUDA has no kernel for a headDim of " + std::to_string(heads.headDim) + " in " +
              (qkv.dtype == DType::BFloat16 ? "bfloat16" : "float32"));
  return {heads, qkv.shape[0], sequences};
}

size_t offsetBytes(int64_t sequences) { return static_cast<size_t>(sequences + 1) * sizeof(int32_t); }

}  // namespace

void CudaBackend::attention(const Tensor& out, const Tensor& logSumExp, const Tensor& qkv,
                            const int32_t* offsets, int64_t sequences, const AttentionShape& heads) {
  const Scope scope(*this, "attention");
  const PackedAttentionShape shape = packedShape(qkv, sequences, heads);
  const auto uploaded = upload({{offsets, offsetBytes(sequences)}});
  withType(qkv.dtype, "attention", [&](auto element) {
    using T = decltype(element);
    cuda::attention<T>(stream_, dataOf<T>(out), floats(logSumExp), dataOf<T>(qkv),
                       static_cast<const int32_t*>(uploaded[0]), shape);
  });
}

void CudaBackend::attentionBackward(const Tensor& gradQkv, const Tensor& gradOut, const Tensor& qkv,
                                    const Tensor& out, const Tensor& logSumExp, const int32_t* offsets,
                                    int64_t sequences, const AttentionShape& heads) {
  const Scope scope(*this, "attentionBackward");
  const PackedAttentionShape shape = packedShape(qkv, sequences, heads);
  void* memory = workspace(attentionBackwardWorkspaceBytes(shape));
  const auto uploaded = upload({{offsets, offsetBytes(sequences)}});
  withType(qkv.dtype, "attentionBackward", [&](auto element) {
    using T = decltype(element);
    cuda::attentionBackward<T>(stream_, dataOf<T>(gradQkv), dataOf<T>(gradOut), dataOf<T>(qkv),
                               dataOf<T>(out), floats(logSumExp), static_cast<const int32_t*>(uploaded[0]),
                               shape, memory);
  });
}

}  // namespace hdpo::cuda
