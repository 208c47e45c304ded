// Products for generation: few rows by a weight that does not change between steps.
//
// Shapes: weight [N, P] is repacked once into panels of kPanel outputs, data[panel][P][kPanel], padded with
// zeros; x [R, P], out [R, N]. A tile of up to kTileRows rows by one panel stays in registers over the whole
// of P, so each output element is one chain of fused multiply-adds in the order of P: its value does not
// depend on the number of rows, on the tile it fell in or on the number of threads.
#include <omp.h>

#include <algorithm>
#include <cassert>

#include "cpu/cpu_backend.h"

namespace hdpo {

namespace {

// Registers: kTileRows * kVectors sums, kVectors weights and one broadcast value must fit (32 or 16 of them).
#if defined(__AVX512F__)
constexpr int64_t kLanes = 16, kVectors = 4, kTileRows = 6;
#elif defined(__AVX__)
constexpr int64_t kLanes = 8, kVectors = 2, kTileRows = 6;
#else
constexpr int64_t kLanes = 4, kVectors = 2, kTileRows = 6;
#endif
constexpr int64_t kPanel = kLanes * kVectors;
// Lines of a panel fetched ahead: with few rows the weights come from the outer caches, and this gained 8%
// there.
constexpr int64_t kPrefetch = 32;

// Fewer multiply-adds than this are done by the calling thread: waking another takes as long.
constexpr int64_t kParallelMultiplyAdds = int64_t{1} << 16;

using Vector = float __attribute__((vector_size(kLanes * sizeof(float))));
// The same in memory, at any float's address.
using LooseVector = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

struct Product {
  float* out;
  const float *x, *panels;
  int64_t rows, outputs, inputs;
};

// One tile: rows [row, row + tileRows) by one panel.
template <int tileRows>
void multiplyTile(const Product& product, int64_t row, int64_t panel) {
  const int64_t inputs = product.inputs;
  const float* x = product.x + row * inputs;
  const float* weight = product.panels + panel * kPanel * inputs;
  Vector sums[tileRows][kVectors] = {};
  for (int64_t p = 0; p < inputs; ++p) {
    Vector weights[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      weights[v] = *reinterpret_cast<const LooseVector*>(weight + p * kPanel + v * kLanes);
      __builtin_prefetch(weight + (p + kPrefetch) * kPanel + v * kLanes);
    }
#pragma GCC unroll 8
    for (int r = 0; r < tileRows; ++r) {
      const float value = x[r * inputs + p];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[r][v] += value * weights[v];
    }
  }
  float* out = product.out + row * product.outputs + panel * kPanel;
  const int64_t width = std::min(kPanel, product.outputs - panel * kPanel);
#pragma GCC unroll 8
  for (int r = 0; r < tileRows; ++r) {
    float line[kPanel];  // of a panel that is only partly there
    float* target = width == kPanel ? out + r * product.outputs : line;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) *reinterpret_cast<LooseVector*>(target + v * kLanes) = sums[r][v];
    if (width != kPanel) std::copy_n(line, width, out + r * product.outputs);
  }
}

void multiplyTile(const Product& product, int64_t row, int64_t tileRows, int64_t panel) {
  switch (tileRows) {
    case 1:
      return multiplyTile<1>(product, row, panel);
    case 2:
      return multiplyTile<2>(product, row, panel);
    case 3:
      return multiplyTile<3>(product, row, panel);
    case 4:
      return multiplyTile<4>(product, row, panel);
    case 5:
      return multiplyTile<5>(product, row, panel);
    default:
      return multiplyTile<6>(product, row, panel);
  }
}

// Share `thread` of `threads` of all tiles, panel by panel: a panel is fetched once and then used from cache.
// Rows are spread evenly over the tiles of a panel, so that none is left with a single row.
void multiplyShare(const Product& product, int64_t thread, int64_t threads) {
  const int64_t panels = (product.outputs + kPanel - 1) / kPanel;
  const int64_t tiles = (product.rows + kTileRows - 1) / kTileRows;
  const int64_t end = panels * tiles * (thread + 1) / threads;
  for (int64_t unit = panels * tiles * thread / threads; unit < end; ++unit) {
    const int64_t panel = unit / tiles, tile = unit % tiles;
    const int64_t row = product.rows * tile / tiles, rowEnd = product.rows * (tile + 1) / tiles;
    multiplyTile(product, row, rowEnd - row, panel);
  }
}

}  // namespace

size_t CpuBackend::packedBytes(int64_t outputs, int64_t inputs) {
  return static_cast<size_t>((outputs + kPanel - 1) / kPanel * kPanel * inputs) * sizeof(float);
}

void CpuBackend::packWeight(const PackedWeight& packed, const Tensor& weight) {
  Profiler::Scope scope(profiler(), "packWeight");
  const int64_t outputs = packed.outputs, inputs = packed.inputs;
  assert(weight.count() == outputs * inputs);
  constexpr int64_t kBlock = 16;  // inputs: a cache line read, kBlock lines of the panel written
  const int64_t panels = (outputs + kPanel - 1) / kPanel, blocks = (inputs + kBlock - 1) / kBlock;
  const float* source = weight.f32();
  float* data = static_cast<float*>(packed.data);
#pragma omp parallel for schedule(static) collapse(2) if (outputs * inputs > kParallelMultiplyAdds)
  for (int64_t panel = 0; panel < panels; ++panel) {
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = block * kBlock, end = std::min(inputs, begin + kBlock);
      for (int64_t column = 0; column < kPanel; ++column) {
        const int64_t output = panel * kPanel + column;
        float* target = data + panel * kPanel * inputs + column;
        for (int64_t p = begin; p < end; ++p) {
          target[p * kPanel] = output < outputs ? source[output * inputs + p] : 0.0f;
        }
      }
    }
  }
}

void CpuBackend::packedMatmul(const Tensor& out, const Tensor& x, const PackedWeight& weight) {
  const int64_t rows = x.shape[0], multiplyAdds = rows * weight.outputs * weight.inputs;
  Profiler::Scope scope(profiler(), "packedMatmul", 2.0 * static_cast<double>(multiplyAdds));
  assert(x.shape[1] == weight.inputs && out.shape[0] == rows && out.shape[1] == weight.outputs);
  if (rows == 0) return;
  const Product product{out.f32(), x.f32(),        static_cast<const float*>(weight.data),
                        rows,      weight.outputs, weight.inputs};
#pragma omp parallel if (multiplyAdds > kParallelMultiplyAdds)
  multiplyShare(product, omp_get_thread_num(), omp_get_num_threads());
}

}  // namespace hdpo
