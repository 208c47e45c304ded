// Looks up rows of a table by token, and adds up their gradients. For the backward pass the rows of the batch
// are listed by token. Where a list lies is left to chance (whichever thread asks first), but its order is
// not: each member counts those before it. Then one block per token and stretch of columns adds its list in
// the order of the batch.
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/element.h"
#include "cuda/embedding.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

constexpr int kThreads = 256;

template <typename T, typename W, bool vectors>
__global__ void __launch_bounds__(kThreads)
    lookUp(T* out, const W* table, const int32_t* tokens, int64_t rows, int64_t columns) {
  constexpr int kCount = vectors ? 8 : 1;
  const int64_t inRow = columns / kCount, item = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (item >= rows * inRow) return;
  const int64_t row = item / inRow, column = item % inRow * kCount;
  const W* source = table + tokens[row] * columns + column;
  T* target = out + row * columns + column;
  if constexpr (vectors) {
    Pack<W> from[8 / kPack<W>];
#pragma unroll
    for (int p = 0; p < 8 / kPack<W>; ++p) from[p] = loadPack(source + p * kPack<W>);
#pragma unroll
    for (int p = 0; p < 8 / kPack<T>; ++p) {
      Pack<T> to;
#pragma unroll
      for (int i = 0; i < kPack<T>; ++i) {
        const int e = p * kPack<T> + i;
        to.values[i] = fromFloat<T>(toFloat(from[e / kPack<W>].values[e % kPack<W>]));
      }
      storePack(target + p * kPack<T>, to);
    }
  } else {
    *target = fromFloat<T>(toFloat(*source));
  }
}

struct Lists {
  int32_t* counts;  // [V] rows per token
  int32_t* filled;  // [V] rows listed so far, per token
  int32_t* used;    // places given out
  int32_t* starts;  // [V] where a token's list begins
  int32_t* listed;  // [N] rows by token, as they came
  int32_t* sorted;  // [N] rows by token, in the order of the batch
};

Lists listsIn(Workspace& workspace, int64_t rows, int64_t vocabSize) {
  Lists lists{};
  lists.counts = workspace.take<int32_t>(vocabSize);
  lists.filled = workspace.take<int32_t>(vocabSize);
  lists.used = workspace.take<int32_t>(1);
  lists.starts = workspace.take<int32_t>(vocabSize);
  lists.listed = workspace.take<int32_t>(rows);
  lists.sorted = workspace.take<int32_t>(rows);
  return lists;
}

__global__ void __launch_bounds__(kThreads) countTokens(Lists lists, const int32_t* tokens, int64_t rows) {
  const int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row < rows) atomicAdd(lists.counts + tokens[row], 1);
}

__global__ void __launch_bounds__(kThreads) placeLists(Lists lists, int64_t vocabSize) {
  const int64_t token = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (token < vocabSize && lists.counts[token] > 0)
    lists.starts[token] = atomicAdd(lists.used, lists.counts[token]);
}

__global__ void __launch_bounds__(kThreads) fillLists(Lists lists, const int32_t* tokens, int64_t rows) {
  const int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= rows) return;
  const int32_t token = tokens[row];
  lists.listed[lists.starts[token] + atomicAdd(lists.filled + token, 1)] = static_cast<int32_t>(row);
}

__global__ void __launch_bounds__(kThreads) sortLists(Lists lists, const int32_t* tokens, int64_t rows) {
  const int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= rows) return;
  const int32_t token = tokens[row], start = lists.starts[token], count = lists.counts[token];
  int32_t before = 0;
#pragma unroll 4
  for (int32_t i = 0; i < count; ++i) before += lists.listed[start + i] < row;
  lists.sorted[start + before] = static_cast<int32_t>(row);
}

// There is one block per row and stretch of kThreads columns. The blocks of a list's first row do the list's
// work.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    addLists(float* gradTable, const T* gradOut, Lists lists, const int32_t* tokens, int64_t columns,
             int64_t stretches) {
  const int64_t row = blockIdx.x / stretches, column = blockIdx.x % stretches * kThreads + threadIdx.x;
  const int32_t token = tokens[row], start = lists.starts[token], count = lists.counts[token];
  if (lists.sorted[start] != row || column >= columns) return;
  float sum = gradTable[token * columns + column];
#pragma unroll 8
  for (int32_t i = 0; i < count; ++i) sum += toFloat(gradOut[lists.sorted[start + i] * columns + column]);
  gradTable[token * columns + column] = sum;
}

}  // namespace

template <typename T, typename W>
void embedding(Stream stream, T* out, const W* table, const int32_t* tokens, const MatrixShape& shape) {
  const auto [rows, columns] = shape;
  const bool vectors = columns % 8 == 0 && inPacks<T>(columns, out, table);
  const auto kernel = vectors ? lookUp<T, W, true> : lookUp<T, W, false>;
  launch(kernel, static_cast<unsigned>(blocksOf(rows * columns / (vectors ? 8 : 1), kThreads)), kThreads, 0,
         stream, out, table, tokens, rows, columns);
}

size_t embeddingBackwardWorkspaceBytes(int64_t rows, int64_t vocabSize) {
  Workspace workspace;
  listsIn(workspace, rows, vocabSize);
  return workspace.bytes();
}

template <typename T>
void embeddingBackward(Stream stream, float* gradTable, const T* gradOut, const int32_t* tokens,
                       const MatrixShape& shape, int64_t vocabSize, void* workspace) {
  const auto [rows, columns] = shape;
  Workspace memory(workspace);
  const Lists lists = listsIn(memory, rows, vocabSize);
  const auto rowBlocks = static_cast<unsigned>(blocksOf(rows, kThreads));
  // counts, filled and used lie one behind the other.
  zeroBytes(
      lists.counts,
      static_cast<size_t>(reinterpret_cast<char*>(lists.used + 1) - reinterpret_cast<char*>(lists.counts)),
      stream);
  launch(countTokens, rowBlocks, kThreads, 0, stream, lists, tokens, rows);
  launch(placeLists, static_cast<unsigned>(blocksOf(vocabSize, kThreads)), kThreads, 0, stream, lists,
         vocabSize);
  launch(fillLists, rowBlocks, kThreads, 0, stream, lists, tokens, rows);
  launch(sortLists, rowBlocks, kThreads, 0, stream, lists, tokens, rows);
  const int64_t stretches = blocksOf(columns, kThreads);
  launch(addLists<T>, static_cast<unsigned>(rows * stretches), kThreads, 0, stream, gradTable, gradOut, lists,
         tokens, columns, stretches);
}

template void embedding(Stream, float*, const float*, const int32_t*, const MatrixShape&);
template void embedding(Stream, float*, const BFloat16*, const int32_t*, const MatrixShape&);
template void embedding(Stream, BFloat16*, const float*, const int32_t*, const MatrixShape&);
template void embedding(Stream, BFloat16*, const BFloat16*, const int32_t*, const MatrixShape&);
template void embeddingBackward(Stream, float*, const float*, const int32_t*, const MatrixShape&, int64_t,
                                void*);
template void embeddingBackward(Stream, float*, const BFloat16*, const int32_t*, const MatrixShape&, int64_t,
                                void*);

// --- The backend ---

namespace {

size_t tokenBytes(int64_t rows) { return static_cast<size_t>(rows) * sizeof(int32_t); }

}  // namespace

void CudaBackend::embedding(const Tensor& out, const Tensor& table, const int32_t* tokens) {
  const Scope scope(*this, "embedding");
  const auto uploaded = upload({{tokens, tokenBytes(out.shape[0])}});
  withType(out.dtype, "embedding", [&](auto element) {
    withType(table.dtype, "embedding", [&](auto entry) {
      using T = decltype(element);
      using W = decltype(entry);
      cuda::embedding<T, W>(stream_, dataOf<T>(out), dataOf<W>(table),
                            static_cast<const int32_t*>(uploaded[0]), matrixShape(out));
    });
  });
}

void CudaBackend::embeddingBackward(const Tensor& gradTable, const Tensor& gradOut, const int32_t* tokens) {
  const Scope scope(*this, "embeddingBackward", static_cast<double>(gradOut.count()));
  const int64_t rows = gradOut.shape[0], vocabSize = gradTable.shape[0];
  void* memory = workspace(embeddingBackwardWorkspaceBytes(rows, vocabSize));
  const auto uploaded = upload({{tokens, tokenBytes(rows)}});
  withType(gradOut.dtype, "embeddingBackward", [&](auto element) {
    using T = decltype(element);
    cuda::embeddingBackward<T>(stream_, floats(gradTable), dataOf<T>(gradOut),
                               static_cast<const int32_t*>(uploaded[0]), matrixShape(gradOut), vocabSize,
                               memory);
  });
}

}  // namespace hdpo::cuda
