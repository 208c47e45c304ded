// Products with packed weights. A packed weight is a plain copy in the formats that cuBLAS multiplies, and
// panels of 8-bit integers (packed_int8.cu) in Int8.
#include <cassert>

#include "cuda/cuda_backend.h"
#include "cuda/dispatch.h"
#include "cuda/packed_int8.h"

namespace hdpo::cuda {

namespace {

// The type of a format that is a plain copy.
DType typeOf(PackedFormat format) {
  assert(format != PackedFormat::Int8);
  return format == PackedFormat::BFloat16 ? DType::BFloat16 : DType::Float32;
}

Tensor plainWeight(const PackedWeight& packed) {
  return Tensor(packed.data, typeOf(packed.format), {packed.outputs, packed.inputs});
}

}  // namespace

bool CudaBackend::packsInPlace(DType weight, PackedFormat format) const {
  return format != PackedFormat::Int8 && typeOf(format) == weight;
}

size_t CudaBackend::packedBytes(const MatrixShape& weight, PackedFormat format) {
  if (format == PackedFormat::Int8) return packedInt8Bytes(weight);
  return static_cast<size_t>(weight.rows * weight.columns) * sizeOf(typeOf(format));
}

void CudaBackend::packWeight(const PackedWeight& packed, const Tensor& weight) {
  if (packed.format != PackedFormat::Int8) return convert(plainWeight(packed), weight);
  const Scope scope(*this, "packWeight");
  withType(weight.dtype, "packWeight", [&](auto element) {
    using T = decltype(element);
    packInt8<T>(stream_, packed.data, dataOf<T>(weight), {.rows = packed.outputs, .columns = packed.inputs});
  });
}

void CudaBackend::packedMatmul(const Tensor& out, const Tensor& x, const PackedWeight& weight) {
  const Scope scope(
      *this, "packedMatmul",
      2.0 * static_cast<double>(x.shape[0]) * static_cast<double>(weight.outputs * weight.inputs));
  if (weight.format == PackedFormat::Int8) return multiplyInt8(out, x, weight);
  product(out, x, false, plainWeight(weight), true, 0);
}

}  // namespace hdpo::cuda
