// Norms, rotary, attention, SwiGLU and embeddings: the shapes that kernels want, and what they need beside
// tensors.
#include <cassert>

#include "core/error.h"
#include "cuda/attention.h"
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/embedding.h"
#include "cuda/head_norm.h"
#include "cuda/rms_norm.h"
#include "cuda/rotary.h"
#include "cuda/swiglu.h"

namespace hdpo::cuda {

namespace {

AttentionShape attentionShape(const Tensor& qkv, int64_t sequences, int64_t heads, int64_t kvHeads,
                              int64_t headDim) {
  const AttentionShape shape{qkv.shape[0], sequences, heads, kvHeads, headDim};
  require(supportsAttention(shape), "ERR_NOT_IMPLEMENTED",
          "attention on CUDA has no kernel for a headDim of " + std::to_string(headDim) + " in " +
              (qkv.dtype == DType::BFloat16 ? "bfloat16" : "float32"));
  return shape;
}

size_t bytesOf(const int32_t*, int64_t count) { return static_cast<size_t>(count) * sizeof(int32_t); }

}  // namespace

void CudaBackend::rmsNorm(const Tensor& y, const Tensor& inverseRms, const Tensor& x, const Tensor& weight,
                          float epsilon) {
  const Scope scope(*this, "rmsNorm", 4.0 * static_cast<double>(x.count()));
  requireFloat32("rmsNorm", {x});
  withType(y.dtype, "rmsNorm", [&](auto element) {
    using T = decltype(element);
    cuda::rmsNorm<T>(stream_, dataOf<T>(y), floats(inverseRms), floats(x), floats(weight), x.shape[0],
                     x.shape[1], epsilon);
  });
}

void CudaBackend::addThenRmsNorm(const Tensor& y, const Tensor& stream, const Tensor& added,
                                 const Tensor& weight, float epsilon) {
  const Scope scope(*this, "addThenRmsNorm", 5.0 * static_cast<double>(stream.count()));
  requireFloat32("addThenRmsNorm", {stream, added});
  withType(y.dtype, "addThenRmsNorm", [&](auto element) {
    using T = decltype(element);
    cuda::addThenRmsNorm<T>(stream_, dataOf<T>(y), floats(stream), floats(added), floats(weight),
                            stream.shape[0], stream.shape[1], epsilon);
  });
}

void CudaBackend::rmsNormBackward(const Tensor& gradX, bool accumulate, const Tensor& gradWeight,
                                  const Tensor& gradY, const Tensor& x, const Tensor& weight,
                                  const Tensor& inverseRms) {
  const Scope scope(*this, "rmsNormBackward", 10.0 * static_cast<double>(x.count()));
  void* memory = workspace(rmsNormBackwardWorkspaceBytes(x.shape[0], x.shape[1]));
  requireFloat32("rmsNormBackward", {x, gradX});
  withType(gradY.dtype, "rmsNormBackward", [&](auto element) {
    using T = decltype(element);
    cuda::rmsNormBackward<T>(stream_, floats(gradX), accumulate, floats(gradWeight), dataOf<T>(gradY),
                             floats(x), floats(weight), floats(inverseRms), x.shape[0], x.shape[1], memory);
  });
}

void CudaBackend::headNorm(const Tensor& out, const Tensor& inverseRms, const Tensor& qkv,
                           const Tensor& queryWeight, const Tensor& keyWeight, int64_t heads, int64_t kvHeads,
                           int64_t headDim, float epsilon) {
  const Scope scope(*this, "headNorm", 4.0 * static_cast<double>(qkv.count()));
  const HeadNormShape shape{qkv.shape[0], heads, kvHeads, headDim};
  withType(qkv.dtype, "headNorm", [&](auto element) {
    using T = decltype(element);
    cuda::headNorm<T>(stream_, dataOf<T>(out), floats(inverseRms), dataOf<T>(qkv), floats(queryWeight),
                      floats(keyWeight), shape, epsilon);
  });
}

void CudaBackend::headNormBackward(const Tensor& gradQkv, const Tensor& gradQueryWeight,
                                   const Tensor& gradKeyWeight, const Tensor& qkv, const Tensor& queryWeight,
                                   const Tensor& keyWeight, const Tensor& inverseRms, int64_t heads,
                                   int64_t kvHeads, int64_t headDim) {
  const Scope scope(*this, "headNormBackward", 10.0 * static_cast<double>(qkv.count()));
  const HeadNormShape shape{qkv.shape[0], heads, kvHeads, headDim};
  void* memory = workspace(headNormBackwardWorkspaceBytes(shape));
  withType(qkv.dtype, "headNormBackward", [&](auto element) {
    using T = decltype(element);
    cuda::headNormBackward<T>(stream_, dataOf<T>(gradQkv), floats(gradQueryWeight), floats(gradKeyWeight),
                              dataOf<T>(qkv), floats(queryWeight), floats(keyWeight), floats(inverseRms),
                              shape, memory);
  });
}

void CudaBackend::rotary(const Tensor& qkv, int64_t heads, int64_t headDim, const int32_t* positions,
                         const float* inverseFrequencies, int direction) {
  const int64_t rows = qkv.shape[0];
  if (rows == 0) return;
  const Scope scope(*this, "rotary", 3.0 * static_cast<double>(rows * heads * headDim));
  const auto uploaded = upload({{positions, bytesOf(positions, rows)},
                                {inverseFrequencies, static_cast<size_t>(headDim / 2) * sizeof(float)}});
  withType(qkv.dtype, "rotary", [&](auto element) {
    using T = decltype(element);
    cuda::rotary<T>(stream_, dataOf<T>(qkv), static_cast<const int32_t*>(uploaded[0]),
                    static_cast<const float*>(uploaded[1]), rows, qkv.count() / rows, heads, headDim,
                    direction);
  });
}

void CudaBackend::attention(const Tensor& out, const Tensor& logSumExp, const Tensor& qkv,
                            const int32_t* offsets, int64_t sequences, int64_t heads, int64_t kvHeads,
                            int64_t headDim) {
  const Scope scope(*this, "attention");
  const AttentionShape shape = attentionShape(qkv, sequences, heads, kvHeads, headDim);
  const auto uploaded = upload({{offsets, bytesOf(offsets, sequences + 1)}});
  withType(qkv.dtype, "attention", [&](auto element) {
    using T = decltype(element);
    cuda::attention<T>(stream_, dataOf<T>(out), floats(logSumExp), dataOf<T>(qkv),
                       static_cast<const int32_t*>(uploaded[0]), shape);
  });
}

void CudaBackend::attentionBackward(const Tensor& gradQkv, const Tensor& gradOut, const Tensor& qkv,
                                    const Tensor& out, const Tensor& logSumExp, const int32_t* offsets,
                                    int64_t sequences, int64_t heads, int64_t kvHeads, int64_t headDim) {
  const Scope scope(*this, "attentionBackward");
  const AttentionShape shape = attentionShape(qkv, sequences, heads, kvHeads, headDim);
  void* memory = workspace(attentionBackwardWorkspaceBytes(shape));
  const auto uploaded = upload({{offsets, bytesOf(offsets, sequences + 1)}});
  withType(qkv.dtype, "attentionBackward", [&](auto element) {
    using T = decltype(element);
    cuda::attentionBackward<T>(stream_, dataOf<T>(gradQkv), dataOf<T>(gradOut), dataOf<T>(qkv),
                               dataOf<T>(out), floats(logSumExp), static_cast<const int32_t*>(uploaded[0]),
                               shape, memory);
  });
}

void CudaBackend::swiglu(const Tensor& out, const Tensor& gateUp) {
  const Scope scope(*this, "swiglu", 4.0 * static_cast<double>(out.count()));
  withType(out.dtype, "swiglu", [&](auto element) {
    using T = decltype(element);
    cuda::swiglu<T>(stream_, dataOf<T>(out), dataOf<T>(gateUp), out.shape[0], out.shape[1]);
  });
}

void CudaBackend::swigluBackward(const Tensor& gradGateUp, const Tensor& gradOut, const Tensor& gateUp) {
  const Scope scope(*this, "swigluBackward", 10.0 * static_cast<double>(gradOut.count()));
  withType(gradOut.dtype, "swigluBackward", [&](auto element) {
    using T = decltype(element);
    cuda::swigluBackward<T>(stream_, dataOf<T>(gradGateUp), dataOf<T>(gradOut), dataOf<T>(gateUp),
                            gradOut.shape[0], gradOut.shape[1]);
  });
}

void CudaBackend::embedding(const Tensor& out, const Tensor& table, const int32_t* tokens) {
  const Scope scope(*this, "embedding");
  const auto uploaded = upload({{tokens, bytesOf(tokens, out.shape[0])}});
  withType(out.dtype, "embedding", [&](auto element) {
    withType(table.dtype, "embedding", [&](auto entry) {
      using T = decltype(element);
      using W = decltype(entry);
      cuda::embedding<T, W>(stream_, dataOf<T>(out), dataOf<W>(table),
                            static_cast<const int32_t*>(uploaded[0]), out.shape[0], out.shape[1]);
    });
  });
}

void CudaBackend::embeddingBackward(const Tensor& gradTable, const Tensor& gradOut, const int32_t* tokens) {
  const Scope scope(*this, "embeddingBackward", static_cast<double>(gradOut.count()));
  const int64_t rows = gradOut.shape[0], columns = gradOut.shape[1], vocabSize = gradTable.shape[0];
  void* memory = workspace(embeddingBackwardWorkspaceBytes(rows, vocabSize));
  const auto uploaded = upload({{tokens, bytesOf(tokens, rows)}});
  withType(gradOut.dtype, "embeddingBackward", [&](auto element) {
    using T = decltype(element);
    cuda::embeddingBackward<T>(stream_, floats(gradTable), dataOf<T>(gradOut),
                               static_cast<const int32_t*>(uploaded[0]), rows, columns, vocabSize, memory);
  });
}

}  // namespace hdpo::cuda
