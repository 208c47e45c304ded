// out [M, Q] = op(a) [M, P] * op(b) [P, Q] + beta * out, through oneDNN.
//
// Float32 goes through sgemm rather than the matmul primitive: over the shapes of small transformers both run
// at the same rate for X W^T and dY W, and sgemm is 5 to 25% faster for the weights' gradients (dY^T X, beta
// 1). It also needs no cache of primitives. With a bfloat16 operand the matmul primitive runs, where the
// processor has bfloat16 products (twice the rate of float32); elsewhere blocks of the operands are widened
// for sgemm. oneDNN blocks the sums over P by shape and thread count: results repeat bit for bit for a given
// number of threads.
#include <algorithm>
#include <array>
#include <cassert>
#include <dnnl.hpp>
#include <map>
#include <string>

#include "core/error.h"
#include "cpu/bfloat16.h"
#include "cpu/cpu_backend.h"
#include "cpu/matrix_product.h"
#include "cpu/narrow_product.h"
#include "cpu/parallel.h"

namespace hdpo {

namespace {

struct ProductShape {
  int64_t rows, columns, inner;
};

ProductShape shapeOf(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB) {
  const ProductShape shape{out.shape[0], out.shape[1], a.shape[transposeA ? 0 : 1]};
  assert(out.rank == 2 && a.rank == 2 && b.rank == 2);
  assert(a.shape[transposeA ? 1 : 0] == shape.rows && b.shape[transposeB ? 1 : 0] == shape.inner);
  assert(b.shape[transposeB ? 0 : 1] == shape.columns);
  static_cast<void>(b);
  static_cast<void>(transposeB);
  return shape;
}

// Strides are the leading dimensions in memory; all operands are float32.
void sgemm(float* out, int64_t outStride, const float* a, int64_t strideA, bool transposeA, const float* b,
           int64_t strideB, bool transposeB, const ProductShape& shape, float beta) {
  const dnnl_status_t status =
      dnnl_sgemm(transposeA ? 'T' : 'N', transposeB ? 'T' : 'N', shape.rows, shape.columns, shape.inner, 1.0f,
                 a, strideA, b, strideB, beta, out, outStride);
  require(status != dnnl_out_of_memory, "ERR_OUT_OF_MEMORY", "oneDNN ran out of memory in a matrix product");
  require(status == dnnl_success, "ERR_INTERNAL",
          "oneDNN refused a matrix product with status " + std::to_string(static_cast<int>(status)));
}

template <class Convert>
void inParts(int64_t count, const Convert& convert) {
  constexpr int64_t kPart = int64_t{1} << 14;
#pragma omp parallel for schedule(static) if (count > parallelElements())
  for (int64_t begin = 0; begin < count; begin += kPart) convert(begin, std::min(kPart, count - begin));
}

}  // namespace

// --- Products in bfloat16 ---

struct MatrixProducts::BFloat16Products {
  // Primitives are compiled per shape, which takes milliseconds. Packed batches differ in length: beyond this
  // many shapes, most belong to a run that is over, and all are dropped.
  static constexpr size_t kKeptPrimitives = 512;
  using Key = std::array<int64_t, 6>;

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<Key, dnnl::matmul> primitives;
  Buffer panels;  // for narrow products

  static dnnl::memory::desc matrix(int64_t rows, int64_t columns, bool transposed,
                                   dnnl::memory::data_type type) {
    return {{rows, columns}, type, transposed ? dnnl::memory::dims{1, rows} : dnnl::memory::dims{columns, 1}};
  }

  void multiply(float* out, const uint16_t* a, bool transposeA, const uint16_t* b, bool transposeB,
                const ProductShape& shape, float beta) {
    using Type = dnnl::memory::data_type;
    const auto aLayout = matrix(shape.rows, shape.inner, transposeA, Type::bf16);
    const auto bLayout = matrix(shape.inner, shape.columns, transposeB, Type::bf16);
    const auto outLayout = matrix(shape.rows, shape.columns, false, Type::f32);
    const Key key{shape.rows, shape.columns, shape.inner, transposeA, transposeB, beta != 0};
    auto found = primitives.find(key);
    if (found == primitives.end()) {
      if (primitives.size() >= kKeptPrimitives) primitives.clear();
      dnnl::primitive_attr attributes;
      if (beta != 0) {
        dnnl::post_ops sum;
        sum.append_sum(1.0f);
        attributes.set_post_ops(sum);
      }
      const dnnl::matmul::primitive_desc description({aLayout, bLayout, outLayout}, attributes, engine);
      found = primitives.emplace(key, dnnl::matmul(description)).first;
    }
    const auto memory = [this](const dnnl::memory::desc& layout, const void* data) {
      return dnnl::memory(layout, engine, const_cast<void*>(data));
    };
    found->second.execute(stream, {{DNNL_ARG_SRC, memory(aLayout, a)},
                                   {DNNL_ARG_WEIGHTS, memory(bLayout, b)},
                                   {DNNL_ARG_DST, memory(outLayout, out)}});
    stream.wait();
  }
};

MatrixProducts::MatrixProducts(Backend& backend, bool bfloat16Instructions)
    : backend_(backend), bfloat16_(bfloat16Instructions ? std::make_unique<BFloat16Products>() : nullptr) {}
MatrixProducts::~MatrixProducts() = default;

void MatrixProducts::multiply(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                              bool transposeB, float beta) {
  const ProductShape shape = shapeOf(out, a, transposeA, b, transposeB);
  assert(beta == 0 || beta == 1);
  if (shape.rows == 0 || shape.columns == 0) return;
  if (a.dtype == DType::Float32 && b.dtype == DType::Float32) {
    return sgemm(out.f32(), shape.columns, a.f32(), a.shape[1], transposeA, b.f32(), b.shape[1], transposeB,
                 shape, beta);
  }
  if (!bfloat16_) return multiplyWidened(out, a, transposeA, b, transposeB, beta);
  const auto rounded = [this](const Tensor& operand) {
    if (operand.dtype == DType::BFloat16) return operand.bf16();
    operands_.reserve(backend_, static_cast<size_t>(operand.count()) * sizeof(uint16_t));
    uint16_t* values = static_cast<uint16_t*>(operands_.data());
    inParts(operand.count(),
            [&](int64_t begin, int64_t count) { narrow(values + begin, operand.f32() + begin, count); });
    return values;
  };
  if (beta == 1 && !transposeA && narrowProductServes(shape.rows, shape.columns, shape.inner)) {
    Buffer& panels = bfloat16_->panels;
    panels.reserve(backend_, narrowProductBytes(shape.columns, shape.inner));
    return addNarrowProduct(out, rounded(a), rounded(b), transposeB, shape.inner,
                            static_cast<uint16_t*>(panels.data()));
  }
  try {
    bfloat16_->multiply(out.f32(), rounded(a), transposeA, rounded(b), transposeB, shape, beta);
  } catch (const dnnl::error& error) {
    throw Error(error.status == dnnl_out_of_memory ? "ERR_OUT_OF_MEMORY" : "ERR_INTERNAL",
                std::string("oneDNN refused a bfloat16 product: ") + error.what());
  }
}

// The smaller operand is held as a whole, in float32 but rounded to bfloat16. The other is widened a block of
// rows (as they lie in memory) at a time; such a block is rows of `out`, columns of `out` or a part of the
// sums.
void MatrixProducts::multiplyWidened(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b,
                                     bool transposeB, float beta) {
  const ProductShape shape = shapeOf(out, a, transposeA, b, transposeB);
  constexpr int64_t kBlockValues = int64_t{1} << 20;
  const bool blockA = a.count() > b.count();
  const Tensor &whole = blockA ? b : a, &blocked = blockA ? a : b;
  const int64_t width = blocked.shape[1];
  const int64_t blockRows =
      std::clamp(kBlockValues / std::max<int64_t>(1, width), int64_t{1}, blocked.shape[0]);
  operands_.reserve(backend_, static_cast<size_t>(whole.count() + blockRows * width) * sizeof(float));
  float *wholeValues = operands_.f32(), *block = wholeValues + whole.count();
  const auto toFloat = [](float* to, const Tensor& from) {
    inParts(from.count(), [&](int64_t begin, int64_t count) {
      if (from.dtype == DType::BFloat16) return widen(to + begin, from.bf16() + begin, count);
      for (int64_t i = begin; i < begin + count; ++i) to[i] = fromBFloat16(toBFloat16(from.f32()[i]));
    });
  };
  toFloat(wholeValues, whole);
  const bool blocksSums = blockA ? transposeA : !transposeB;
  for (int64_t begin = 0; begin < blocked.shape[0]; begin += blockRows) {
    const int64_t rows = std::min(blockRows, blocked.shape[0] - begin);
    toFloat(block, blocked.rows(begin, begin + rows));
    ProductShape part = shape;
    (blocksSums ? part.inner : blockA ? part.rows : part.columns) = rows;
    const float* wholePart = wholeValues;
    if (blocksSums) wholePart += (blockA ? !transposeB : transposeA) ? begin * whole.shape[1] : begin;
    float* outPart = out.f32();
    if (!blocksSums) outPart += blockA ? begin * shape.columns : begin;
    const float partBeta = blocksSums && begin > 0 ? 1 : beta;
    if (blockA) {
      sgemm(outPart, shape.columns, block, width, transposeA, wholePart, b.shape[1], transposeB, part,
            partBeta);
    } else {
      sgemm(outPart, shape.columns, wholePart, a.shape[1], transposeA, block, width, transposeB, part,
            partBeta);
    }
  }
}

bool processorHasBFloat16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

void CpuBackend::matmul(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                        float beta) {
  const double multiplications =
      static_cast<double>(out.count()) * static_cast<double>(a.shape[transposeA ? 0 : 1]);
  Profiler::Scope scope(profiler(), "matmul", 2.0 * multiplications);
  products_.multiply(out, a, transposeA, b, transposeB, beta);
}

}  // namespace hdpo
