// Conversions, sums, moves of rows and what adapters need.
#include "cuda/adapter.h"
#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/elementwise.h"

namespace hdpo::cuda {

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
    cuda::addBias<T>(stream_, dataOf<T>(rows), floats(bias), rows.shape[0], rows.shape[1]);
  });
}

void CudaBackend::biasBackward(const Tensor& gradBias, const Tensor& gradRows) {
  const Scope scope(*this, "biasBackward", static_cast<double>(gradRows.count()));
  void* memory = workspace(biasBackwardWorkspaceBytes(gradRows.shape[0], gradRows.shape[1]));
  withType(gradRows.dtype, "biasBackward", [&](auto element) {
    using T = decltype(element);
    cuda::biasBackward<T>(stream_, floats(gradBias), dataOf<T>(gradRows), gradRows.shape[0],
                          gradRows.shape[1], memory);
  });
}

void CudaBackend::gatherRows(const Tensor& out, const Tensor& rows, const int32_t* index) {
  const Scope scope(*this, "gatherRows");
  const int64_t count = out.shape[0];
  const auto uploaded = upload({{index, static_cast<size_t>(count) * sizeof(int32_t)}});
  withType(rows.dtype, "gatherRows", [&](auto element) {
    using T = decltype(element);
    cuda::gatherRows<T>(stream_, dataOf<T>(out), dataOf<T>(rows), static_cast<const int32_t*>(uploaded[0]),
                        count, rows.shape[1]);
  });
}

void CudaBackend::scatterRows(const Tensor& out, const Tensor& rows, const int32_t* index) {
  const Scope scope(*this, "scatterRows");
  const int64_t count = rows.shape[0];
  const auto uploaded = upload({{index, static_cast<size_t>(count) * sizeof(int32_t)}});
  withType(rows.dtype, "scatterRows", [&](auto element) {
    using T = decltype(element);
    cuda::scatterRows<T>(stream_, dataOf<T>(out), out.shape[0], dataOf<T>(rows),
                         static_cast<const int32_t*>(uploaded[0]), count, rows.shape[1]);
  });
}

void CudaBackend::dropout(const Tensor& out, const Tensor& rows, const DropoutMask& mask) {
  const Scope scope(*this, "dropout");
  withType(rows.dtype, "dropout", [&](auto element) {
    using T = decltype(element);
    cuda::dropout<T>(stream_, dataOf<T>(out), dataOf<T>(rows), rows.shape[0], rows.shape[1], mask);
  });
}

void CudaBackend::spreadBlocks(const Tensor& out, const Tensor& up, const AdapterBlock* blocks,
                               int64_t modules, float scale) {
  const Scope scope(*this, "spreadBlocks");
  requireFloat32("spreadBlocks", {out, up});
  cuda::spreadBlocks(stream_, floats(out), out.shape[0], floats(up), blocks, modules, up.shape[1], scale);
}

void CudaBackend::spreadBlocksBackward(const Tensor& gradUp, const Tensor& gradOut,
                                       const AdapterBlock* blocks, int64_t modules, float scale) {
  const Scope scope(*this, "spreadBlocksBackward");
  requireFloat32("spreadBlocksBackward", {gradUp, gradOut});
  cuda::spreadBlocksBackward(stream_, floats(gradUp), floats(gradOut), blocks, modules, gradUp.shape[1],
                             scale);
}

}  // namespace hdpo::cuda
