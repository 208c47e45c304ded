// Products for generation: few rows by a weight that does not change between steps. This file holds the
// float32 format and the choice between formats.
//
// Shapes: weight [N, P] is repacked once into panels of kPanel outputs, data[panel][P][kPanel], padded with
// zeros; x [R, P], out [R, N]. Each output element is one chain of fused multiply-adds in the order of P.
#include "cpu/packed_matmul.h"

#include <omp.h>

#include <algorithm>
#include <cassert>

#include "cpu/bfloat16.h"
#include "cpu/cpu_backend.h"
#include "cpu/vector.h"

namespace hdpo {

namespace {

constexpr int kVectors = kVectorsPerBlock;
constexpr int64_t kTileRows = 6;  // in registers: 6 x kVectors sums, as many weights, one broadcast value
constexpr int64_t kPanel = kLanes * kVectors;
// Lines of a panel that are fetched ahead. With few rows the weights come from the outer caches, where this
// gained 8%.
constexpr int64_t kPrefetch = 32;

struct Product {
  float* out;
  const float *x, *panels;
  int64_t rows, outputs, inputs;

  // Computes one tile: rows [row, row + tileRows) by one panel.
  template <int tileRows>
  [[gnu::noinline]] void run(int64_t row, int64_t panel) const {
    const float* from = x + row * inputs;
    const float* weight = panels + panel * kPanel * inputs;
    const bool fetchAhead = row == 0;  // the first tile that uses a panel brings it from memory
    Vector sums[tileRows][kVectors] = {};
    for (int64_t p = 0; p < inputs; ++p) {
      Vector weights[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        weights[v] = load(weight + p * kPanel + v * kLanes);
        if (fetchAhead) __builtin_prefetch(weight + (p + kPrefetch) * kPanel + v * kLanes);
      }
#pragma GCC unroll 8
      for (int r = 0; r < tileRows; ++r) {
        const float value = from[r * inputs + p];
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sums[r][v] += value * weights[v];
      }
    }
    storeTile(out + row * outputs + panel * kPanel, outputs, outputs - panel * kPanel, sums);
  }
};

size_t packedFloat32Bytes(const MatrixShape& weight) {
  return static_cast<size_t>(divideUp(weight.rows, kPanel) * kPanel * weight.columns) * sizeof(float);
}

void packFloat32(const PackedWeight& packed, const Tensor& weight) {
  const int64_t outputs = packed.outputs, inputs = packed.inputs;
  assert(weight.count() == outputs * inputs);
  constexpr int64_t kBlock = 16;  // inputs: a cache line read, kBlock lines of the panel written
  const int64_t panels = divideUp(outputs, kPanel), blocks = divideUp(inputs, kBlock);
  float* data = static_cast<float*>(packed.data);
#pragma omp parallel for schedule(static) collapse(2) if (outputs * inputs > parallelMultiplyAdds())
  for (int64_t panel = 0; panel < panels; ++panel) {
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = block * kBlock, end = std::min(inputs, begin + kBlock);
      for (int64_t column = 0; column < kPanel; ++column) {
        const int64_t output = panel * kPanel + column;
        float values[kBlock] = {};
        if (output < outputs && weight.dtype == DType::BFloat16) {
          widen(values, weight.bf16() + output * inputs + begin, end - begin);
        } else if (output < outputs) {
          std::copy_n(weight.f32() + output * inputs + begin, end - begin, values);
        }
        float* target = data + panel * kPanel * inputs + column;
        for (int64_t p = begin; p < end; ++p) target[p * kPanel] = values[p - begin];
      }
    }
  }
}

void multiplyFloat32(const Tensor& out, const Tensor& x, const PackedWeight& weight) {
  const Product product{out.f32(),  x.f32(),        static_cast<const float*>(weight.data),
                        x.shape[0], weight.outputs, weight.inputs};
  const auto tile = [&](int64_t row, int64_t tileRows, int64_t panel) {
    withConstant<kTileRows>(tileRows, [&](auto count) { product.run<count>(row, panel); });
  };
#pragma omp parallel if (product.rows * product.outputs * product.inputs > parallelMultiplyAdds())
  forShareOfTiles<kTileRows>(product.rows, divideUp(product.outputs, kPanel), omp_get_thread_num(),
                             omp_get_num_threads(), tile);
}

}  // namespace

size_t packedBytesOnCpu(const MatrixShape& weight, PackedFormat format) {
  switch (format) {
    case PackedFormat::BFloat16:
      return packedBFloat16Bytes(weight);
    case PackedFormat::Int8:
      return packedInt8Bytes(weight);
    default:
      return packedFloat32Bytes(weight);
  }
}

size_t CpuBackend::packedBytes(const MatrixShape& weight, PackedFormat format) {
  return packedBytesOnCpu(weight, format);
}

void CpuBackend::packWeight(const PackedWeight& packed, const Tensor& weight) {
  Profiler::Scope scope(profiler(), "packWeight");
  switch (packed.format) {
    case PackedFormat::BFloat16:
      return packBFloat16(packed, weight);
    case PackedFormat::Int8:
      return packInt8(packed, weight);
    default:
      return packFloat32(packed, weight);
  }
}

void CpuBackend::packedMatmul(const Tensor& out, const Tensor& x, const PackedWeight& weight) {
  const int64_t rows = x.shape[0];
  Profiler::Scope scope(
      profiler(), "packedMatmul",
      2.0 * static_cast<double>(rows * weight.outputs) * static_cast<double>(weight.inputs));
  assert(x.shape[1] == weight.inputs && out.shape[0] == rows && out.shape[1] == weight.outputs);
  if (rows == 0) return;
  switch (weight.format) {
    case PackedFormat::BFloat16:
      operands_.reserve(*this, bfloat16OperandBytes(matrixShape(x)));
      return multiplyBFloat16(out, x, weight, operands_.data());
    case PackedFormat::Int8:
      operands_.reserve(*this, int8OperandBytes(matrixShape(x)));
      return multiplyInt8(out, x, weight, operands_.data());
    default:
      return multiplyFloat32(out, x, weight);
  }
}

}  // namespace hdpo
