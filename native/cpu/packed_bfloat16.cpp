// Packed products in bfloat16: out [R, N] = x [R, P] * weight [N, P]^T, with x and weight rounded to bfloat16
// and sums in float32.
//
// Layout: data[panel][P / 2][kPanel][2], padded with zeros. One AVX512-BF16 instruction takes two inputs side
// by side for each of 16 outputs (bfloat16_pairs.h). x is rounded once per call, to rows [2 * ceil(P / 2)].
#include <omp.h>

#include <cassert>
#include <cstring>

#include "cpu/bfloat16.h"
#include "cpu/bfloat16_pairs.h"
#include "cpu/packed_matmul.h"
#include "cpu/parallel.h"
#include "cpu/vector.h"

namespace hdpo {

namespace {

constexpr int kVectors = kPairVectors;
constexpr int64_t kTileRows = kPairTileRows;
constexpr int64_t kPanel = kPairPanel;

struct Product {
  float* out;
  const PairElement* x;  // rounded
  const uint16_t* panels;
  int64_t rows, outputs, pairs;  // pairs of inputs

  template <int tileRows>
  [[gnu::noinline]] void run(int64_t row, int64_t panel) const {
    const PairElement* from = x + row * pairs * 2;
    const uint16_t* weight = panels + panel * pairs * 2 * kPanel;
    const bool fetchAhead = row == 0;  // the first tile that uses a panel brings it from memory
    Vector sums[tileRows][kVectors] = {};
    addPairProducts<tileRows>(sums, from, weight, pairs, fetchAhead);
    storeTile(out + row * outputs + panel * kPanel, outputs, outputs - panel * kPanel, sums);
  }
};

}  // namespace

size_t packedBFloat16Bytes(const MatrixShape& weight) {
  const int64_t outputs = divideUp(weight.rows, kPanel) * kPanel, inputs = divideUp(weight.columns, 2) * 2;
  return static_cast<size_t>(outputs * inputs) * sizeof(uint16_t);
}

void packBFloat16(const PackedWeight& packed, const Tensor& weight) {
  const int64_t outputs = packed.outputs, inputs = packed.inputs;
  assert(weight.count() == outputs * inputs);
  constexpr int64_t kBlock = 32;  // inputs: one or two cache lines read, kBlock / 2 rows of the panel written
  const int64_t panels = divideUp(outputs, kPanel), pairs = divideUp(inputs, 2),
                blocks = divideUp(pairs * 2, kBlock);
  uint16_t* data = static_cast<uint16_t*>(packed.data);
#pragma omp parallel for schedule(static) collapse(2) if (outputs * inputs > parallelMultiplyAdds())
  for (int64_t panel = 0; panel < panels; ++panel) {
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = block * kBlock, end = std::min(pairs * 2, begin + kBlock);
      for (int64_t column = 0; column < kPanel; ++column) {
        const int64_t output = panel * kPanel + column,
                      here = output < outputs ? std::min(end, inputs) - begin : 0;
        uint16_t values[kBlock] = {};
        if (here > 0 && weight.dtype == DType::BFloat16) {
          std::memcpy(values, weight.bf16() + output * inputs + begin,
                      static_cast<size_t>(here) * sizeof(uint16_t));
        } else if (here > 0) {
          narrow(values, weight.f32() + output * inputs + begin, here);
        }
        uint16_t* target = data + (panel * pairs * kPanel + column) * 2;
        for (int64_t p = begin; p < end; p += 2) std::memcpy(target + p * kPanel, values + p - begin, 4);
      }
    }
  }
}

size_t bfloat16OperandBytes(const MatrixShape& x) {
  return static_cast<size_t>(x.rows * divideUp(x.columns, 2) * 2) * sizeof(PairElement);
}

void multiplyBFloat16(const Tensor& out, const Tensor& x, const PackedWeight& weight, void* operands) {
  const int64_t rows = x.shape[0], inputs = weight.inputs, pairs = divideUp(inputs, 2);
  PairElement* rounded = static_cast<PairElement*>(operands);
  const Product product{out.f32(), rounded,        static_cast<const uint16_t*>(weight.data),
                        rows,      weight.outputs, pairs};
  const auto roundRow = [&](int64_t row) {
    roundElements(rounded + row * pairs * 2, x.f32() + row * inputs, inputs);
    if (inputs % 2 != 0) rounded[row * pairs * 2 + inputs] = 0;
  };
  const bool alone = rows * inputs <= parallelElements();  // waiting for other threads would take longer
  for (int64_t row = 0; alone && row < rows; ++row) roundRow(row);
#pragma omp parallel if (weight.outputs * inputs > parallelWeights() || \
                         rows * weight.outputs * inputs > parallelMultiplyAdds())
  {
    if (!alone) {
#pragma omp for schedule(static)
      for (int64_t row = 0; row < rows; ++row) roundRow(row);
    }
    const auto tile = [&](int64_t row, int64_t tileRows, int64_t panel) {
      withConstant<kTileRows>(tileRows, [&](auto count) { product.run<count>(row, panel); });
    };
    forShareOfTiles<kTileRows>(rows, divideUp(weight.outputs, kPanel), omp_get_thread_num(),
                               omp_get_num_threads(), tile);
  }
}

}  // namespace hdpo
