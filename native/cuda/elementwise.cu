// Conversions, sums, biases and moves of rows: memory-bound, one pass each, 16 bytes per thread and access
// where the addresses allow.
#include <algorithm>

#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/elementwise.h"
#include "cuda/partial_sums.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 256;
// Blocks of a grid that strides over its elements: enough to fill any device several times over.
constexpr int64_t kMostBlocks = 8192;

unsigned blocksFor(int64_t items) {
  return static_cast<unsigned>(std::min(kMostBlocks, blocksOf(items, kThreads)));
}

// Elements per step, so that both types move in 16-byte accesses.
template <typename To, typename From>
constexpr int kCommon = kPack<To> > kPack<From> ? kPack<To> : kPack<From>;

template <typename To, typename From, int count>
__device__ void convertPacks(To* out, const From* in) {
  Pack<From> from[count / kPack<From>];
  Pack<To> to[count / kPack<To>];
#pragma unroll
  for (int p = 0; p < count / kPack<From>; ++p) from[p] = loadPack(in + p * kPack<From>);
#pragma unroll
  for (int i = 0; i < count; ++i) {
    to[i / kPack<To>].values[i % kPack<To>] =
        fromFloat<To>(toFloat(from[i / kPack<From>].values[i % kPack<From>]));
  }
#pragma unroll
  for (int p = 0; p < count / kPack<To>; ++p) storePack(out + p * kPack<To>, to[p]);
}

template <typename To, typename From, bool vectors>
__global__ void __launch_bounds__(kThreads) convertElements(To* out, const From* in, int64_t count) {
  constexpr int kCount = vectors ? kCommon<To, From> : 1;
  const int64_t step = int64_t{gridDim.x} * kThreads, items = count / kCount;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < items; i += step) {
    if constexpr (vectors) {
      convertPacks<To, From, kCount>(out + i * kCount, in + i * kCount);
    } else {
      out[i] = fromFloat<To>(toFloat(in[i]));
    }
  }
}

template <typename T, bool vectors>
__global__ void __launch_bounds__(kThreads) addElements(T* out, const T* a, const T* b, int64_t count) {
  constexpr int kCount = vectors ? kPack<T> : 1;
  const int64_t step = int64_t{gridDim.x} * kThreads, items = count / kCount;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < items; i += step) {
    if constexpr (vectors) {
      Pack<T> left = loadPack(a + i * kCount);
      const Pack<T> right = loadPack(b + i * kCount);
#pragma unroll
      for (int e = 0; e < kCount; ++e) {
        left.values[e] = fromFloat<T>(toFloat(left.values[e]) + toFloat(right.values[e]));
      }
      storePack(out + i * kCount, left);
    } else {
      out[i] = fromFloat<T>(toFloat(a[i]) + toFloat(b[i]));
    }
  }
}

template <typename T, bool vectors>
__global__ void __launch_bounds__(kThreads)
    addBiasToRows(T* rows, const float* bias, int64_t count, int64_t columns) {
  constexpr int kCount = vectors ? kPack<T> : 1;
  const int64_t step = int64_t{gridDim.x} * kThreads, items = count * columns / kCount;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < items; i += step) {
    const float* offset = bias + i * kCount % columns;
    if constexpr (vectors) {
      Pack<T> values = loadPack(rows + i * kCount);
#pragma unroll
      for (int e = 0; e < kCount; ++e) values.values[e] = fromFloat<T>(toFloat(values.values[e]) + offset[e]);
      storePack(rows + i * kCount, values);
    } else {
      rows[i] = fromFloat<T>(toFloat(rows[i]) + offset[0]);
    }
  }
}

constexpr int64_t kRowsPerPartial = 128;

// partials [blocks of rows, C]; the grid is (blocks of columns, blocks of rows).
template <typename T>
__global__ void __launch_bounds__(kThreads)
    columnSums(float* partials, const T* gradRows, int64_t rows, int64_t columns, int64_t columnBlocks) {
  const int64_t block = blockIdx.x / columnBlocks;
  const int64_t column = blockIdx.x % columnBlocks * kThreads + threadIdx.x;
  if (column >= columns) return;
  const int64_t begin = block * kRowsPerPartial;
  const int64_t end = begin + kRowsPerPartial < rows ? begin + kRowsPerPartial : rows;
  float sum = 0;
#pragma unroll 8
  for (int64_t row = begin; row < end; ++row) sum += toFloat(gradRows[row * columns + column]);
  partials[block * columns + column] = sum;
}

template <bool vectors, typename T>
__global__ void __launch_bounds__(kThreads)
    copyRows(T* out, const T* rows, const int32_t* index, int64_t count, int64_t columns, bool scatter) {
  constexpr int kCount = vectors ? kPack<T> : 1;
  const int64_t step = int64_t{gridDim.x} * kThreads, width = columns / kCount, items = count * width;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < items; i += step) {
    const int64_t row = i / width, column = i % width * kCount;
    const int64_t from = scatter ? row : index[row], to = scatter ? index[row] : row;
    if constexpr (vectors) {
      storePack(out + to * columns + column, loadPack(rows + from * columns + column));
    } else {
      out[to * columns + column] = rows[from * columns + column];
    }
  }
}

template <typename T>
void moveRows(Stream stream, T* out, const T* rows, const int32_t* index, const MatrixShape& shape,
              bool scatter) {
  const auto [count, columns] = shape;
  const bool vectors = inPacks<T>(columns, out, rows);
  const auto kernel = vectors ? copyRows<true, T> : copyRows<false, T>;
  launch(kernel, blocksFor(count * columns / (vectors ? kPack<T> : 1)), kThreads, 0, stream, out, rows, index,
         count, columns, scatter);
}

}  // namespace

template <typename To, typename From>
void convert(Stream stream, To* out, const From* in, int64_t count) {
  constexpr int kCount = kCommon<To, From>;
  const int64_t whole = inPacks<To>(0, out, in) ? count / kCount * kCount : 0;
  launch(convertElements<To, From, true>, blocksFor(whole / kCount), kThreads, 0, stream, out, in, whole);
  launch(convertElements<To, From, false>, blocksFor(count - whole), kThreads, 0, stream, out + whole,
         in + whole, count - whole);
}

template <typename T>
void add(Stream stream, T* out, const T* a, const T* b, int64_t count) {
  const int64_t whole = inPacks<T>(0, out, a, b) ? count / kPack<T> * kPack<T> : 0;
  launch(addElements<T, true>, blocksFor(whole / kPack<T>), kThreads, 0, stream, out, a, b, whole);
  launch(addElements<T, false>, blocksFor(count - whole), kThreads, 0, stream, out + whole, a + whole,
         b + whole, count - whole);
}

template <typename T>
void addBias(Stream stream, T* rows, const float* bias, const MatrixShape& shape) {
  const auto [count, columns] = shape;
  const bool vectors = inPacks<T>(columns, rows);
  const auto kernel = vectors ? addBiasToRows<T, true> : addBiasToRows<T, false>;
  launch(kernel, blocksFor(count * columns / (vectors ? kPack<T> : 1)), kThreads, 0, stream, rows, bias,
         count, columns);
}

size_t biasBackwardWorkspaceBytes(const MatrixShape& shape) {
  Workspace workspace;
  workspace.take<float>(blocksOf(shape.rows, kRowsPerPartial) * shape.columns);
  return workspace.bytes();
}

template <typename T>
void biasBackward(Stream stream, float* gradBias, const T* gradRows, const MatrixShape& shape,
                  void* workspace) {
  const auto [rows, columns] = shape;
  const int64_t rowBlocks = blocksOf(rows, kRowsPerPartial), columnBlocks = blocksOf(columns, kThreads);
  float* partials = Workspace(workspace).take<float>(rowBlocks * columns);
  launch(columnSums<T>, static_cast<unsigned>(rowBlocks * columnBlocks), kThreads, 0, stream, partials,
         gradRows, rows, columns, columnBlocks);
  addPartialSums(stream, gradBias, partials, {rowBlocks, columns});
}

template <typename T>
void gatherRows(Stream stream, T* out, const T* rows, const int32_t* index, const MatrixShape& shape) {
  moveRows(stream, out, rows, index, shape, false);
}

template <typename T>
void scatterRows(Stream stream, T* out, int64_t outRows, const T* rows, const int32_t* index,
                 const MatrixShape& shape) {
  zeroBytes(out, static_cast<size_t>(outRows * shape.columns) * sizeof(T), stream);
  moveRows(stream, out, rows, index, shape, true);
}

template void convert(Stream, BFloat16*, const float*, int64_t);
template void convert(Stream, float*, const BFloat16*, int64_t);
template void convert(Stream, float*, const float*, int64_t);
template void convert(Stream, BFloat16*, const BFloat16*, int64_t);

#define HDPO_INSTANTIATE(T)                                                           \
  template void add(Stream, T*, const T*, const T*, int64_t);                         \
  template void addBias(Stream, T*, const float*, const MatrixShape&);                \
  template void biasBackward(Stream, float*, const T*, const MatrixShape&, void*);    \
  template void gatherRows(Stream, T*, const T*, const int32_t*, const MatrixShape&); \
  template void scatterRows(Stream, T*, int64_t, const T*, const int32_t*, const MatrixShape&);
HDPO_INSTANTIATE(float)
HDPO_INSTANTIATE(BFloat16)
#undef HDPO_INSTANTIATE

// --- The backend ---

void CudaBackend::convert(const Tensor& out, const Tensor& in) {
  const Scope scope(*this, "convert");
  if (out.dtype == in.dtype) {
    if (in.count() > 0) copyOnDevice(stream_, out.data, in.data, in.bytes());
  } else if (out.dtype == DType::BFloat16 && in.dtype == DType::Float32) {
    cuda::convert(stream_, dataOf<BFloat16>(out), floats(in), in.count());
  } else if (out.dtype == DType::Float32 && in.dtype == DType::BFloat16) {
    cuda::convert(stream_, floats(out), static_cast<const BFloat16*>(in.data), in.count());
  } else {
    throw Error("ERR_NOT_IMPLEMENTED", "convert on CUDA takes float32 and bfloat16");
  }
}

void CudaBackend::add(const Tensor& out, const Tensor& a, const Tensor& b) {
  const Scope scope(*this, "add", static_cast<double>(out.count()));
  withType(out.dtype, "add", [&](auto element) {
    using T = decltype(element);
    cuda::add<T>(stream_, dataOf<T>(out), dataOf<T>(a), dataOf<T>(b), out.count());
  });
}

void CudaBackend::addBias(const Tensor& rows, const Tensor& bias) {
  const Scope scope(*this, "addBias", static_cast<double>(rows.count()));
  withType(rows.dtype, "addBias", [&](auto element) {
    using T = decltype(element);
    cuda::addBias<T>(stream_, dataOf<T>(rows), floats(bias), matrixShape(rows));
  });
}

void CudaBackend::biasBackward(const Tensor& gradBias, const Tensor& gradRows) {
  const Scope scope(*this, "biasBackward", static_cast<double>(gradRows.count()));
  void* memory = workspace(biasBackwardWorkspaceBytes(matrixShape(gradRows)));
  withType(gradRows.dtype, "biasBackward", [&](auto element) {
    using T = decltype(element);
    cuda::biasBackward<T>(stream_, floats(gradBias), dataOf<T>(gradRows), matrixShape(gradRows), memory);
  });
}

void CudaBackend::gatherRows(const Tensor& out, const Tensor& rows, const int32_t* index) {
  const Scope scope(*this, "gatherRows");
  const auto uploaded = upload({{index, static_cast<size_t>(out.shape[0]) * sizeof(int32_t)}});
  withType(rows.dtype, "gatherRows", [&](auto element) {
    using T = decltype(element);
    cuda::gatherRows<T>(stream_, dataOf<T>(out), dataOf<T>(rows), static_cast<const int32_t*>(uploaded[0]),
                        matrixShape(out));
  });
}

void CudaBackend::scatterRows(const Tensor& out, const Tensor& rows, const int32_t* index) {
  const Scope scope(*this, "scatterRows");
  const auto uploaded = upload({{index, static_cast<size_t>(rows.shape[0]) * sizeof(int32_t)}});
  withType(rows.dtype, "scatterRows", [&](auto element) {
    using T = decltype(element);
    cuda::scatterRows<T>(stream_, dataOf<T>(out), out.shape[0], dataOf<T>(rows),
                         static_cast<const int32_t*>(uploaded[0]), matrixShape(rows));
  });
}

}  // namespace hdpo::cuda
