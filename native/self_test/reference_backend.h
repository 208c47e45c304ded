// What every op means, in plain loops: nothing here is fast and nothing is clever. Tensors have the types of
// the interface; all arithmetic between loading and storing is float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/float_formats.h"
#include "core/random.h"
#include "self_test/reference_losses.h"

namespace hdpo {

class ReferenceBackend : public ReferenceLosses {
 public:
  const char* name() const override { return "reference"; }
  int threads() const override { return 1; }

  void* allocate(size_t bytes) override { return std::aligned_alloc(64, (bytes + 64) / 64 * 64); }
  void release(void* pointer) noexcept override { std::free(pointer); }
  void copyFromHost(void* destination, const void* source, size_t bytes) override {
    std::memcpy(destination, source, bytes);
  }
  void copyToHost(void* destination, const void* source, size_t bytes) override {
    std::memcpy(destination, source, bytes);
  }
  void zero(void* destination, size_t bytes) override { std::memset(destination, 0, bytes); }

  void matmul(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
              float beta) override {
    const int64_t rows = out.shape[0], columns = out.shape[1], inner = a.shape[transposeA ? 0 : 1];
    const bool rounded = a.dtype == DType::BFloat16 || b.dtype == DType::BFloat16;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        double sum = beta == 0 ? 0 : double{beta} * at(out, i, j);
        for (int64_t k = 0; k < inner; ++k) {
          sum += operand(a, transposeA ? k : i, transposeA ? i : k, rounded) *
                 operand(b, transposeB ? j : k, transposeB ? k : j, rounded);
        }
        at(out, i, j) = static_cast<float>(sum);
      }
    }
  }

  void rmsNorm(const Tensor& y, const Tensor& inverseRms, const Tensor& x, const Tensor& weight,
               float epsilon) override {
    for (int64_t r = 0; r < x.shape[0]; ++r) {
      const float inverse = normalise(row(y, r), row(x, r), weight.f32(), x.shape[1], epsilon);
      if (inverseRms) inverseRms.f32()[r] = inverse;
    }
  }
  void rmsNormBackward(const Tensor& gradX, bool accumulate, const Tensor& gradWeight, const Tensor& gradY,
                       const Tensor& x, const Tensor& weight, const Tensor& inverseRms) override {
    const int64_t columns = x.shape[1];
    std::vector<float> grad(static_cast<size_t>(columns)), frozen(grad.size());
    for (int64_t r = 0; r < x.shape[0]; ++r) {
      std::copy_n(row(gradY, r), columns, grad.data());
      normaliseBackward(grad.data(), gradWeight ? gradWeight.f32() : frozen.data(), row(x, r), weight.f32(),
                        inverseRms.f32()[r], columns);
      for (int64_t c = 0; c < columns; ++c) at(gradX, r, c) = grad[c] + (accumulate ? at(gradX, r, c) : 0.0f);
    }
  }

  void headNorm(const Tensor& out, const Tensor& inverseRms, const Tensor& qkv, const Tensor& queryWeight,
                const Tensor& keyWeight, const AttentionShape& shape, float epsilon) override {
    const auto [heads, kvHeads, headDim] = shape;
    if (out.data != qkv.data) std::memcpy(out.data, qkv.data, qkv.bytes());
    for (int64_t r = 0; r < qkv.shape[0]; ++r) {
      for (int64_t h = 0; h < heads + kvHeads; ++h) {
        float* head = row(out, r) + h * headDim;
        const Tensor& weight = h < heads ? queryWeight : keyWeight;
        const float inverse = normalise(head, head, weight.f32(), headDim, epsilon);
        if (inverseRms) at(inverseRms, r, h) = inverse;
      }
    }
  }
  void headNormBackward(const Tensor& gradQkv, const Tensor& gradQueryWeight, const Tensor& gradKeyWeight,
                        const Tensor& qkv, const Tensor& queryWeight, const Tensor& keyWeight,
                        const Tensor& inverseRms, const AttentionShape& shape) override {
    const auto [heads, kvHeads, headDim] = shape;
    std::vector<float> frozen(static_cast<size_t>(headDim));
    for (int64_t r = 0; r < qkv.shape[0]; ++r) {
      for (int64_t h = 0; h < heads + kvHeads; ++h) {
        const bool query = h < heads;
        const Tensor& gradWeight = query ? gradQueryWeight : gradKeyWeight;
        normaliseBackward(row(gradQkv, r) + h * headDim, gradWeight ? gradWeight.f32() : frozen.data(),
                          row(qkv, r) + h * headDim, (query ? queryWeight : keyWeight).f32(),
                          at(inverseRms, r, h), headDim);
      }
    }
  }

  void rotary(const Tensor& qkv, const AttentionShape& shape, const int32_t* positions,
              const float* inverseFrequencies, int direction) override {
    const int64_t half = shape.headDim / 2;
    for (int64_t r = 0; r < qkv.shape[0]; ++r) {
      for (int64_t h = 0; h < shape.positionedHeads(); ++h) {
        float* head = row(qkv, r) + h * shape.headDim;
        for (int64_t i = 0; i < half; ++i) {
          const double frequency = inverseFrequencies[i];
          const double angle = direction * positions[r] * frequency;
          const double first = head[i], second = head[i + half];
          head[i] = static_cast<float>(first * std::cos(angle) - second * std::sin(angle));
          head[i + half] = static_cast<float>(second * std::cos(angle) + first * std::sin(angle));
        }
      }
    }
  }

  void attention(const Tensor& out, const Tensor& logSumExp, const Tensor& qkv, const int32_t* offsets,
                 int64_t sequences, const AttentionShape& shape) override {
    const auto [heads, kvHeads, headDim] = shape;
    for (int64_t s = 0; s < sequences; ++s) {
      for (int64_t r = offsets[s]; r < offsets[s + 1]; ++r) {
        for (int64_t h = 0; h < heads; ++h) {
          const std::vector<double> scores = attentionScores(qkv, offsets[s], r, h, shape);
          const double total = logSum(scores);
          at(logSumExp, r, h) = static_cast<float>(total);
          for (int64_t i = 0; i < headDim; ++i) {
            double sum = 0;
            for (int64_t k = offsets[s]; k <= r; ++k) {
              sum += std::exp(scores[k - offsets[s]] - total) * value(qkv, k, h, shape)[i];
            }
            row(out, r)[h * headDim + i] = static_cast<float>(sum);
          }
        }
      }
    }
  }
  // With P the softmax row and dP_k = gradOut . v_k:
  //   dV_k += P_k gradOut
  //   dS_k  = P_k (dP_k - sum_j P_j dP_j)
  void attentionBackward(const Tensor& gradQkv, const Tensor& gradOut, const Tensor& qkv, const Tensor&,
                         const Tensor&, const int32_t* offsets, int64_t sequences,
                         const AttentionShape& shape) override {
    const auto [heads, kvHeads, headDim] = shape;
    const int64_t width = shape.qkvWidth();
    std::vector<double> grad(static_cast<size_t>(qkv.count()), 0.0);
    for (int64_t s = 0; s < sequences; ++s) {
      const int64_t first = offsets[s];
      for (int64_t r = first; r < offsets[s + 1]; ++r) {
        for (int64_t h = 0; h < heads; ++h) {
          const std::vector<double> scores = attentionScores(qkv, first, r, h, shape);
          const double total = logSum(scores), scale = 1.0 / std::sqrt(static_cast<double>(headDim));
          const float* gradHead = row(gradOut, r) + h * headDim;
          std::vector<double> gradProbability(scores.size(), 0.0);
          double mean = 0;
          for (size_t k = 0; k < scores.size(); ++k) {
            const float* v = value(qkv, first + static_cast<int64_t>(k), h, shape);
            for (int64_t i = 0; i < headDim; ++i) gradProbability[k] += double{gradHead[i]} * v[i];
            mean += std::exp(scores[k] - total) * gradProbability[k];
          }
          const int64_t keyHead = heads + h / (heads / kvHeads), valueHead = keyHead + kvHeads;
          for (size_t k = 0; k < scores.size(); ++k) {
            const double probability = std::exp(scores[k] - total);
            const double gradScore = probability * (gradProbability[k] - mean) * scale;
            const int64_t keyRow = first + static_cast<int64_t>(k);
            for (int64_t i = 0; i < headDim; ++i) {
              grad[keyRow * width + valueHead * headDim + i] += probability * gradHead[i];
              grad[keyRow * width + keyHead * headDim + i] += gradScore * row(qkv, r)[h * headDim + i];
              grad[r * width + h * headDim + i] += gradScore * row(qkv, keyRow)[keyHead * headDim + i];
            }
          }
        }
      }
    }
    for (size_t i = 0; i < grad.size(); ++i) gradQkv.f32()[i] = static_cast<float>(grad[i]);
  }

  void swiglu(const Tensor& out, const Tensor& gateUp) override {
    const int64_t width = out.shape[1];
    for (int64_t r = 0; r < out.shape[0]; ++r) {
      for (int64_t i = 0; i < width; ++i) {
        const double gate = at(gateUp, r, i), up = at(gateUp, r, width + i);
        at(out, r, i) = static_cast<float>(gate / (1 + std::exp(-gate)) * up);
      }
    }
  }
  void swigluBackward(const Tensor& gradGateUp, const Tensor& gradOut, const Tensor& gateUp) override {
    const int64_t width = gradOut.shape[1];
    for (int64_t r = 0; r < gradOut.shape[0]; ++r) {
      for (int64_t i = 0; i < width; ++i) {
        const double gate = at(gateUp, r, i), up = at(gateUp, r, width + i), grad = at(gradOut, r, i);
        const double sigmoid = 1 / (1 + std::exp(-gate));
        at(gradGateUp, r, i) = static_cast<float>(grad * up * sigmoid * (1 + gate * (1 - sigmoid)));
        at(gradGateUp, r, width + i) = static_cast<float>(grad * gate * sigmoid);
      }
    }
  }

  void embedding(const Tensor& out, const Tensor& table, const int32_t* tokens) override {
    for (int64_t r = 0; r < out.shape[0]; ++r) {
      for (int64_t c = 0; c < out.shape[1]; ++c) {
        at(out, r, c) = static_cast<float>(operand(table, tokens[r], c, false));
      }
    }
  }
  void embeddingBackward(const Tensor& gradTable, const Tensor& gradOut, const int32_t* tokens) override {
    for (int64_t r = 0; r < gradOut.shape[0]; ++r) {
      for (int64_t c = 0; c < gradOut.shape[1]; ++c) at(gradTable, tokens[r], c) += at(gradOut, r, c);
    }
  }

  void convert(const Tensor& out, const Tensor& in) override {
    for (int64_t i = 0; i < out.count(); ++i) {
      const float value = in.dtype == DType::BFloat16 ? fromBFloat16(in.bf16()[i]) : in.f32()[i];
      if (out.dtype == DType::BFloat16) {
        out.bf16()[i] = toBFloat16(value);
      } else {
        out.f32()[i] = value;
      }
    }
  }
  void add(const Tensor& out, const Tensor& a, const Tensor& b) override {
    for (int64_t i = 0; i < out.count(); ++i) out.f32()[i] = a.f32()[i] + b.f32()[i];
  }
  void addBias(const Tensor& rows, const Tensor& bias) override {
    for (int64_t r = 0; r < rows.shape[0]; ++r) {
      for (int64_t c = 0; c < rows.shape[1]; ++c) at(rows, r, c) += bias.f32()[c];
    }
  }
  void biasBackward(const Tensor& gradBias, const Tensor& gradRows) override {
    for (int64_t r = 0; r < gradRows.shape[0]; ++r) {
      for (int64_t c = 0; c < gradRows.shape[1]; ++c) gradBias.f32()[c] += at(gradRows, r, c);
    }
  }
  void dropout(const Tensor& out, const Tensor& rows, const DropoutMask& mask) override {
    const int64_t groups = (rows.shape[1] + 3) / 4;
    for (int64_t r = 0; r < rows.shape[0]; ++r) {
      for (int64_t c = 0; c < rows.shape[1]; ++c) {
        const auto counter = static_cast<uint64_t>((mask.firstRow + r) * groups + c / 4);
        const double draw = philox(mask.seed, mask.stream, counter)[static_cast<size_t>(c % 4)] * 0x1p-32;
        at(out, r, c) = draw < mask.probability ? 0 : at(rows, r, c) / (1 - mask.probability);
      }
    }
  }
  void spreadBlocks(const Tensor& out, const Tensor& up, const AdapterBlock* blocks, int64_t modules,
                    float scale) override {
    std::fill_n(out.f32(), out.count(), 0.0f);
    forEachBlockElement(up, blocks, modules, [&](int64_t from, int64_t to, int64_t i, int64_t column) {
      at(out, to, column) = scale * at(up, from, i);
    });
  }
  void spreadBlocksBackward(const Tensor& gradUp, const Tensor& gradOut, const AdapterBlock* blocks,
                            int64_t modules, float scale) override {
    forEachBlockElement(gradUp, blocks, modules, [&](int64_t to, int64_t from, int64_t i, int64_t column) {
      at(gradUp, to, i) += scale * at(gradOut, from, column);
    });
  }
  void gatherRows(const Tensor& out, const Tensor& rows, const int32_t* index) override {
    for (int64_t r = 0; r < out.shape[0]; ++r) std::copy_n(row(rows, index[r]), out.shape[1], row(out, r));
  }
  void scatterRows(const Tensor& out, const Tensor& rows, const int32_t* index) override {
    std::fill_n(out.f32(), out.count(), 0.0f);
    for (int64_t r = 0; r < rows.shape[0]; ++r) std::copy_n(row(rows, r), rows.shape[1], row(out, index[r]));
  }

  double sumOfSquares(const Tensor& values) override {
    double sum = 0;
    for (int64_t i = 0; i < values.count(); ++i) sum += double{values.f32()[i]} * values.f32()[i];
    return sum;
  }
  void adamW(const Tensor& weight, const Tensor& gradient, const Tensor& momentum, const Tensor& variance,
             const AdamWOptions& options) override {
    const double correction1 = 1 - std::pow(double{options.beta1}, static_cast<double>(options.step));
    const double correction2 = 1 - std::pow(double{options.beta2}, static_cast<double>(options.step));
    for (int64_t i = 0; i < weight.count(); ++i) {
      const double grad = double{gradient.f32()[i]} * options.gradientScale;
      const double first = options.beta1 * momentum.f32()[i] + (1 - double{options.beta1}) * grad;
      const double second = options.beta2 * variance.f32()[i] + (1 - double{options.beta2}) * grad * grad;
      momentum.f32()[i] = static_cast<float>(first);
      variance.f32()[i] = static_cast<float>(second);
      const double update = first / correction1 / (std::sqrt(second / correction2) + options.epsilon);
      const double decayed = weight.f32()[i] * (1 - double{options.learningRate} * options.weightDecay);
      weight.f32()[i] = static_cast<float>(decayed - options.learningRate * update);
    }
  }

  // Packed weights are plain float32 values, which the bfloat16 format rounds. Int8 stays exact.
  size_t packedBytes(const MatrixShape& weight, PackedFormat) override {
    return static_cast<size_t>(weight.rows * weight.columns) * sizeof(float);
  }
  void packWeight(const PackedWeight& packed, const Tensor& weight) override {
    for (int64_t i = 0; i < packed.outputs; ++i) {
      std::ranges::copy(held(weight, i, packed.format), static_cast<float*>(packed.data) + i * packed.inputs);
    }
  }
  void packedMatmul(const Tensor& out, const Tensor& x, const PackedWeight& weight) override {
    for (int64_t r = 0; r < x.shape[0]; ++r) {
      const std::vector<float> values = held(x, r, weight.format);
      for (int64_t i = 0; i < weight.outputs; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < weight.inputs; ++j) {
          sum += double{values[j]} * static_cast<const float*>(weight.data)[i * weight.inputs + j];
        }
        at(out, r, i) = static_cast<float>(sum);
      }
    }
  }

  // Blocks are [2, K, kvBlockTokens, E].
  void writeCache(const Tensor& cache, const Tensor& qkv, const CachedAttentionRow* rows,
                  const AttentionShape& shape) override {
    const auto [heads, kvHeads, headDim] = shape;
    for (int64_t r = 0; r < qkv.shape[0]; ++r) {
      for (int64_t part = 0; part < 2 * kvHeads; ++part) {  // the key heads, then the value heads
        const float* values = row(qkv, r) + (heads + part) * headDim;
        const int64_t place = placeOf(rows[r], rows[r].length - 1, part, shape);
        for (int64_t i = 0; i < headDim; ++i) {
          if (cache.dtype == DType::BFloat16) {
            cache.bf16()[place + i] = toBFloat16(values[i]);
          } else {
            cache.f32()[place + i] = values[i];
          }
        }
      }
    }
  }
  void cachedAttention(const Tensor& out, const Tensor& cache, const Tensor& qkv,
                       const CachedAttentionRow* rows, const AttentionShape& shape) override {
    const auto [heads, kvHeads, headDim] = shape;
    for (int64_t r = 0; r < qkv.shape[0]; ++r) {
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t shared = h / (heads / kvHeads);
        const float* query = row(qkv, r) + h * headDim;
        std::vector<double> scores;
        for (int64_t t = 0; t < rows[r].length; ++t) {
          const int64_t key = placeOf(rows[r], t, shared, shape);
          double sum = 0;
          for (int64_t i = 0; i < headDim; ++i) sum += double{query[i]} * cached(cache, key + i);
          scores.push_back(sum / std::sqrt(static_cast<double>(headDim)));
        }
        const double total = logSum(scores);
        for (int64_t i = 0; i < headDim; ++i) {
          double sum = 0;
          for (int64_t t = 0; t < rows[r].length; ++t) {
            const int64_t value = placeOf(rows[r], t, kvHeads + shared, shape);
            sum += std::exp(scores[t] - total) * cached(cache, value + i);
          }
          row(out, r)[h * headDim + i] = static_cast<float>(sum);
        }
      }
    }
  }

 private:
  // Row r of a packed product's operand, with the values that the format holds.
  static std::vector<float> held(const Tensor& matrix, int64_t r, PackedFormat format) {
    std::vector<float> values;
    for (int64_t j = 0; j < matrix.shape[1]; ++j) {
      values.push_back(static_cast<float>(operand(matrix, r, j, format == PackedFormat::BFloat16)));
    }
    constexpr size_t kGroup = 64;
    for (size_t begin = 0; format == PackedFormat::Int8 && begin < values.size(); begin += kGroup) {
      const std::span group(values.data() + begin, std::min(kGroup, values.size() - begin));
      float largest = 0;
      for (const float value : group) largest = std::max(largest, std::abs(value));
      const float scale = largest / 127, inverse = 1 / scale;
      for (float& value : group) {
        value = scale == 0 ? 0 : static_cast<float>(std::nearbyint(double{value} * inverse)) * scale;
      }
    }
    return values;
  }
  // Where a token's key or value lies in the cache.
  static int64_t placeOf(const CachedAttentionRow& of, int64_t position, int64_t part,
                         const AttentionShape& shape) {
    const int64_t block = of.blocks[position / kvBlockTokens], within = position % kvBlockTokens;
    return ((block * 2 * shape.kvHeads + part) * kvBlockTokens + within) * shape.headDim;
  }
  static double cached(const Tensor& cache, int64_t place) {
    return cache.dtype == DType::BFloat16 ? fromBFloat16(cache.bf16()[place]) : cache.f32()[place];
  }
  static float normalise(float* y, const float* x, const float* weight, int64_t count, float epsilon) {
    double squares = 0;
    for (int64_t i = 0; i < count; ++i) squares += double{x[i]} * x[i];
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(count) + epsilon);
    for (int64_t i = 0; i < count; ++i) y[i] = static_cast<float>(x[i] * inverse * weight[i]);
    return static_cast<float>(inverse);
  }
  // visit(row of B, row of the spread matrix, column of B, column of the spread matrix)
  template <typename Visit>
  static void forEachBlockElement(const Tensor& up, const AdapterBlock* blocks, int64_t modules,
                                  const Visit& visit) {
    int64_t first = 0;
    for (int64_t m = 0; m < modules; ++m) {
      for (int64_t r = 0; r < blocks[m].rows; ++r) {
        for (int64_t i = 0; i < up.shape[1]; ++i) {
          visit(first + r, blocks[m].firstRow + r, i, m * up.shape[1] + i);
        }
      }
      first += blocks[m].rows;
    }
  }
  static void normaliseBackward(float* grad, float* gradWeight, const float* x, const float* weight,
                                double inverse, int64_t count) {
    double dot = 0;
    for (int64_t i = 0; i < count; ++i) dot += double{grad[i]} * weight[i] * x[i];
    const double pull = dot * inverse * inverse / static_cast<double>(count);
    for (int64_t i = 0; i < count; ++i) {
      gradWeight[i] += static_cast<float>(grad[i] * x[i] * inverse);
      grad[i] = static_cast<float>(inverse * (double{grad[i]} * weight[i] - x[i] * pull));
    }
  }

  static const float* value(const Tensor& qkv, int64_t r, int64_t head, const AttentionShape& shape) {
    const auto [heads, kvHeads, headDim] = shape;
    return row(qkv, r) + (heads + kvHeads + head / (heads / kvHeads)) * headDim;
  }
  static std::vector<double> attentionScores(const Tensor& qkv, int64_t first, int64_t r, int64_t head,
                                             const AttentionShape& shape) {
    const auto [heads, kvHeads, headDim] = shape;
    std::vector<double> scores;
    const float* query = row(qkv, r) + head * headDim;
    for (int64_t k = first; k <= r; ++k) {
      const float* key = row(qkv, k) + (heads + head / (heads / kvHeads)) * headDim;
      double sum = 0;
      for (int64_t i = 0; i < headDim; ++i) sum += double{query[i]} * key[i];
      scores.push_back(sum / std::sqrt(static_cast<double>(headDim)));
    }
    return scores;
  }
};

}  // namespace hdpo
