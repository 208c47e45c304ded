// The last projection fused with the policy loss, with M rows in chunks and a chunk in parts:
//   each part:   logits [part, V] = hidden * weight^T in float32, which softmax_loss.h turns into gradLogits
//                in the type of the weight
//   each chunk:  gradHidden  = gradLogits * weight
//                gradWeight += gradLogits^T * hidden
// Every chunk reads and writes gradWeight, so chunks are as large as the workspace allows. Logits are passed
// over twice and need no more rows than fill the device.
#include <algorithm>

#include "cuda/cuda_backend.h"
#include "cuda/device_arrays.h"
#include "cuda/dispatch.h"
#include "cuda/elementwise.h"
#include "cuda/linear_loss.h"
#include "cuda/softmax_loss.h"
#include "cuda/workspace.h"

namespace hdpo::cuda {

namespace {

constexpr int64_t kPartsOfChunk = 4;
constexpr int64_t kTileRows = 128;  // rows per tile of a matrix product

struct Memory {
  float* logits;     // [part, V]
  void* gradLogits;  // [chunk, V]; the logits' own memory where the weight is float32
  void* hidden;      // [chunk, D] in the type of the weight; null: hidden is taken as it is
  LossRows rows;     // spans and gradients of one part; losses of all rows
};

struct Sizes {
  int64_t rows, width, vocabSize;
  DType hiddenType, weightType;
  bool backward;
};

Sizes sizesOf(const LinearLossInput& input, const LinearLossOutput& output) {
  return {input.hidden.shape[0], input.hidden.shape[1], input.weight.shape[0],
          input.hidden.dtype,    input.weight.dtype,    static_cast<bool>(output.gradHidden)};
}

Memory memoryIn(Workspace& workspace, const Sizes& sizes, int64_t partRows, int64_t chunkRows) {
  const int64_t elementBytes = static_cast<int64_t>(sizeOf(sizes.weightType));
  Memory memory{};
  memory.logits = workspace.take<float>(partRows * sizes.vocabSize);
  memory.gradLogits = memory.logits;
  if (sizes.backward && sizes.weightType == DType::BFloat16) {
    memory.gradLogits = workspace.take<char>(chunkRows * sizes.vocabSize * elementBytes);
  }
  if (sizes.hiddenType != sizes.weightType) {
    memory.hidden = workspace.take<char>(chunkRows * sizes.width * elementBytes);
  }
  memory.rows.spans = workspace.take<SoftmaxSpan>(partRows * spansOf(sizes.vocabSize));
  memory.rows.gradients = workspace.take<RowGradient>(partRows);
  memory.rows.losses = workspace.take<TokenLoss>(sizes.rows);
  return memory;
}

// The chunk's hidden rows [rows, D] in the type that the products want.
Tensor hiddenOf(Stream stream, const Tensor& rows, DType type, void* memory) {
  if (!memory) return rows;
  const Tensor result(memory, type, {rows.shape[0], rows.shape[1]});
  if (type == DType::BFloat16) {
    convert(stream, static_cast<BFloat16*>(memory), rows.f32(), rows.count());
  } else {
    convert(stream, static_cast<float*>(memory), static_cast<const BFloat16*>(rows.data), rows.count());
  }
  return result;
}

void turnIntoGradients(Stream stream, const Tensor& gradLogits, const LossRows& rows) {
  if (gradLogits.dtype == DType::BFloat16) {
    backwardLoss(stream, static_cast<BFloat16*>(gradLogits.data), rows);
  } else {
    backwardLoss(stream, gradLogits.f32(), rows);
  }
}

}  // namespace

LinearLossPlan linearLossPlan(const LinearLossInput& input, const LinearLossOutput& output) {
  const Sizes sizes = sizesOf(input, output);
  const bool apart = sizes.backward && sizes.weightType == DType::BFloat16;
  const int64_t parts = apart ? kPartsOfChunk : 1;
  const int64_t elementBytes = static_cast<int64_t>(sizeOf(sizes.weightType));
  const int64_t hiddenBytes = sizes.hiddenType == sizes.weightType ? 0 : sizes.width * elementBytes;
  // Bytes per row of a part, with its share of the chunk.
  const int64_t bytes = sizes.vocabSize * static_cast<int64_t>(sizeof(float)) +
                        parts * ((apart ? sizes.vocabSize * elementBytes : 0) + hiddenBytes);
  int64_t part = std::max<int64_t>(1, static_cast<int64_t>(input.workspaceLimit) / bytes);
  if (part > kTileRows) part -= part % kTileRows;
  const int64_t rows = std::max<int64_t>(1, sizes.rows);
  const int64_t chunks = blocksOf(rows, part * parts);
  LinearLossPlan plan;
  plan.chunkRows = blocksOf(rows, chunks);  // so that all chunks have the same size
  plan.partRows = std::min(part, plan.chunkRows);
  Workspace workspace;
  memoryIn(workspace, sizes, plan.partRows, plan.chunkRows);
  plan.workspaceBytes = workspace.bytes();
  return plan;
}

void linearLoss(Stream stream, PolicyLossSums* sums, const LinearLossInput& input,
                const LinearLossOutput& output, const LinearLossPlan& plan, void* workspace,
                const MatrixProduct& product) {
  const Sizes sizes = sizesOf(input, output);
  Workspace allMemory(workspace);
  const Memory memory = memoryIn(allMemory, sizes, plan.partRows, plan.chunkRows);
  for (int64_t begin = 0; begin < sizes.rows; begin += plan.chunkRows) {
    const int64_t end = std::min(sizes.rows, begin + plan.chunkRows), count = end - begin;
    const Tensor hidden = hiddenOf(stream, input.hidden.rows(begin, end), sizes.weightType, memory.hidden);
    const Tensor gradLogits(memory.gradLogits, sizes.weightType, {count, sizes.vocabSize});
    for (int64_t first = 0; first < count; first += plan.partRows) {
      const int64_t last = std::min(count, first + plan.partRows);
      const Tensor logits(memory.logits, {last - first, sizes.vocabSize});
      product(logits, hidden.rows(first, last), false, input.weight, true, 0);
      LossRows rows = memory.rows;
      rows.rows = last - first;
      rows.vocabSize = sizes.vocabSize;
      rows.logits = logits.f32();
      rows.targets = input.targets + begin + first;
      rows.terms = input.terms + begin + first;
      rows.options = input.options;
      rows.losses += begin + first;
      rows.logprobs = output.logprobs + begin + first;
      rows.entropy = output.entropy ? output.entropy + begin + first : nullptr;
      forwardLoss(stream, rows);
      if (sizes.backward) turnIntoGradients(stream, gradLogits.rows(first, last), rows);
    }
    if (!sizes.backward) continue;
    product(output.gradHidden.rows(begin, end), gradLogits, false, input.weight, false, 0);
    if (output.gradWeight) product(output.gradWeight, gradLogits, true, hidden, false, 1);
  }
  sumLosses(stream, sums, memory.rows.losses, nullptr, sizes.rows);
}

// --- The backend ---

// A GPU needs more rows at a time to be busy than a CPU's caches hold.
size_t CudaBackend::linearLossWorkspace() const { return size_t{768} << 20; }

PolicyLossSums CudaBackend::linearLoss(const LinearLossInput& input, const LinearLossOutput& output) {
  const int64_t rows = input.hidden.shape[0];
  PolicyLossSums sums;
  if (rows == 0) return sums;
  const double flops = 2.0 * static_cast<double>(rows) * static_cast<double>(input.weight.count());
  const int products = 1 + (output.gradHidden ? 1 : 0) + (output.gradWeight ? 1 : 0);
  const Scope scope(*this, "linearLoss", products * flops);

  LinearLossInput given = input;
  const size_t count = static_cast<size_t>(rows);
  const auto uploaded =
      upload({{input.targets, count * sizeof(int32_t)}, {input.terms, count * sizeof(TokenTerms)}});
  given.targets = static_cast<const int32_t*>(uploaded[0]);
  given.terms = static_cast<const TokenTerms*>(uploaded[1]);
  DeviceArrays arrays(*this);
  LinearLossOutput found = output;
  found.logprobs = arrays.make<float>(rows);
  found.entropy = output.entropy ? arrays.make<float>(rows) : nullptr;
  auto* deviceSums = arrays.make<PolicyLossSums>(1);
  const LinearLossPlan plan = linearLossPlan(given, found);
  cuda::linearLoss(stream_, deviceSums, given, found, plan, workspace(plan.workspaceBytes),
                   [this](const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                          bool transposeB, float beta) { product(out, a, transposeA, b, transposeB, beta); });
  arrays.download(output.logprobs, found.logprobs, rows);
  arrays.download(output.entropy, found.entropy, rows);
  arrays.download(&sums, deviceSums, 1);
  sums.workspaceBytes = plan.workspaceBytes;
  return sums;
}

}  // namespace hdpo::cuda
