// The last projection fused with the policy loss. For one block of rows and one tile of the vocabulary at a
// time, logits are computed, turned in place into their gradient and multiplied back, so that only one tile's
// logits are in memory. hidden [M, D], weight [V, D]:
//   logits      = hidden * weight^T
//   gradHidden  = gradLogits * weight
//   gradWeight += gradLogits^T * hidden
// With p the softmax of logits / T, H its entropy and c = entropyCoefficient * accuracyScale:
//   gradLogits_v = (dL/dlogprob * ([v = target] - p_v) + c * p_v * (log p_v + H)) / T
// An excluded token has p = 0 and gradient 0.
//
// A tile is the whole vocabulary where that leaves enough rows per block for the products to run at full
// rate. Otherwise a row's softmax grows tile by tile:
//   forward only              one pass over the tiles
//   forward only             one pass over the tiles
//   frozen weight, no bonus  one pass too: gradHidden is linear in e^x, so the row's factor is applied at the
//                            end, and gradHidden is rescaled whenever the largest logit changes
//   anything else            a second pass, which computes the logits again: for a large vocabulary that is
//                            cheaper than to read and write gradWeight for every hundred rows that fit
// A bfloat16 weight makes bfloat16 of hidden and gradLogits in every product, the weight's gradient included.
//
// Each row's arithmetic is its own, whatever the block. A logit that is not finite makes the row's entropy
// NaN and with it the loss: the learner skips such a step.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "cpu/bfloat16.h"
#include "cpu/cpu_backend.h"
#include "cpu/loss_softmax.h"
#include "cpu/matrix_product.h"
#include "cpu/parallel.h"
#include "ops/buffer.h"
#include "ops/token_loss.h"

namespace hdpo {

namespace {

// Rows per block. A block over the whole vocabulary has as many rows as keep its logits in the caches, but no
// fewer than kEfficientRows, below which the products slow down. A block in tiles has kTiledRows, which makes
// reading the weight cheap.
constexpr int64_t kCachedLogitBytes = int64_t{4} << 20;
constexpr int64_t kEfficientRows = 512, kTiledRows = 1024;
// In float32, blocks of this few whole rows lose less to memory traffic than computing the logits twice would
// cost (152k x 896 on 2 cores: 388 against 328 GFLOP/s). In bfloat16 the products are so much faster that
// computing twice is cheaper.
constexpr int64_t kFewestRowsOfTwoPasses = 192;
constexpr int64_t kTileBytes = int64_t{8} << 20;
constexpr int64_t kNarrowestTile = 16;

struct Plan {
  int64_t blockRows, tileWidth;
};

// fewestRows: with fewer rows per block than this, tiles are faster.
Plan planOf(int64_t rows, int64_t vocabSize, int64_t bytesPerLogit, int64_t fewestRows,
            size_t workspaceLimit) {
  const int64_t limit = static_cast<int64_t>(workspaceLimit), rowBytes = vocabSize * bytesPerLogit;
  const auto even = [rows](int64_t most) {  // blocks of one size
    const int64_t blocks = (rows + most - 1) / most;
    return (rows + blocks - 1) / blocks;
  };
  const int64_t whole = std::min(limit / rowBytes, std::max(kEfficientRows, kCachedLogitBytes / rowBytes));
  if (whole >= std::min(rows, fewestRows)) return {even(whole), vocabSize};
  const int64_t most = std::max(int64_t{1}, limit / (kNarrowestTile * bytesPerLogit));
  const int64_t blockRows = even(std::min(most, kTiledRows));
  const int64_t width =
      std::min(limit, kTileBytes) / (blockRows * bytesPerLogit) / kNarrowestTile * kNarrowestTile;
  return {blockRows, std::clamp(width, kNarrowestTile, vocabSize)};
}

// One call's constants and memory.
struct Call {
  const LinearLossInput& input;
  const LinearLossOutput& output;
  MatrixProducts& products;
  Profiler& profiler;
  int threads;
  int64_t vocabSize, width;
  Plan plan;
  bool bfloat16;
  float* logits;       // [block rows, tile width]
  uint16_t* rounded;   // the same in bfloat16: null in float32
  uint16_t* hidden16;  // hidden in bfloat16 [block rows, D]: null in float32

  void product(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
               float beta) const {
    const double inner = static_cast<double>(a.shape[transposeA ? 0 : 1]);
    Profiler::Scope scope(profiler, "linearLoss/matmul", 2.0 * static_cast<double>(out.count()) * inner);
    products.multiply(out, a, transposeA, b, transposeB, beta);
  }
};

// Computes the losses and gradients of one block of rows.
class LossBlock {
 public:
  LossBlock(const Call& call, int64_t begin, int64_t end)
      : call_(call),
        begin_(begin),
        rows_(end - begin),
        inverseTemperature_(1 / call.input.options.temperature),
        hidden_(call.input.hidden.rows(begin, end)),
        softmax_(static_cast<size_t>(rows_)),
        gradients_(static_cast<size_t>(rows_)),
        losses_(static_cast<size_t>(rows_)) {
    if (call.output.gradHidden) gradHidden_ = call.output.gradHidden.rows(begin, end);
    if (!call.bfloat16) return;
    const Tensor from = hidden_;
    hidden_ = Tensor(call.hidden16, DType::BFloat16, {rows_, call.width});
    forRows(call.width, [&](int64_t r) {
      narrow(call.hidden16 + r * call.width, from.f32() + r * call.width, call.width);
    });
  }

  void run() {
    if (call_.plan.tileWidth == call_.vocabSize) {
      wholeRows();
    } else if (gradHidden_ && !call_.output.gradWeight && call_.input.options.entropyCoefficient == 0) {
      streamGradient();
    } else {
      forTiles([&](int64_t from, int64_t to) { addTile<false>(from, to); });
      finishRows();
      if (gradHidden_) {
        forTiles([&](int64_t from, int64_t to) {
          computeLogits(from, to);
          backward(from, to);
        });
      }
    }
  }
  const std::vector<TokenLoss>& losses() const { return losses_; }
  static size_t bytesPerRow() { return sizeof(RowSoftmax) + sizeof(RowGradient) + sizeof(TokenLoss); }

 private:
  template <class Row>
  void forRows(int64_t elements, const Row& row) const {
#pragma omp parallel for schedule(static) \
    num_threads(call_.threads) if (rows_ * elements > parallelElements())
    for (int64_t r = 0; r < rows_; ++r) row(r);
  }
  template <class Tile>
  void forTiles(const Tile& tile) const {
    for (int64_t from = 0; from < call_.vocabSize; from += call_.plan.tileWidth) {
      tile(from, std::min(call_.vocabSize, from + call_.plan.tileWidth));
    }
  }
  const TokenTerms& terms(int64_t r) const { return call_.input.terms[begin_ + r]; }
  int64_t target(int64_t r) const { return call_.input.targets[begin_ + r]; }

  // Computes the logits of vocabulary [from, to). Excluded tokens get one that is very low but finite, so
  // that probability * exponent is 0 and not NaN.
  void computeLogits(int64_t from, int64_t to) {
    const int64_t count = to - from;
    call_.product(Tensor(call_.logits, {rows_, count}), hidden_, false, call_.input.weight.rows(from, to),
                  true, 0);
    for (int64_t r = 0; r < rows_; ++r) {
      const int64_t excluded = terms(r).excludedToken;
      if (excluded >= from && excluded < to) call_.logits[r * count + excluded - from] = -1e30f;
    }
  }

  // Adds a tile's logits to the rows' softmax. With `store` the logits become exponentials (0 for the
  // target), and what gradHidden holds from earlier tiles is rescaled with them.
  template <bool store>
  void addTile(int64_t from, int64_t to) {
    const int64_t count = to - from;
    computeLogits(from, to);
    forRows(count, [&](int64_t r) {
      float* logits = call_.logits + r * count;
      RowSoftmax& softmax = softmax_[static_cast<size_t>(r)];
      const int64_t target = this->target(r) - from;
      assert(this->target(r) >= 0 && this->target(r) < call_.vocabSize);
      const bool here = target >= 0 && target < count;
      if (here) softmax.targetLogit = logits[target];
      const float rescale = softmax.add<store>(logits, count, inverseTemperature_);
      if constexpr (!store) return;
      if (here) logits[target] = 0;
      round(r, count);
      if (from == 0 || rescale == 1) return;
      float* grad = gradHidden_.f32() + r * call_.width;
#pragma omp simd
      for (int64_t i = 0; i < call_.width; ++i) grad[i] *= rescale;
    });
  }

  // Computes every row's logprob, entropy, loss and gradient from its softmax.
  void finishRows() {
    for (int64_t r = 0; r < rows_; ++r) finishRow(r);
  }
  void finishRow(int64_t r) {
    const size_t index = static_cast<size_t>(r);
    const RowSoftmax& softmax = softmax_[index];
    const PolicyLossOptions& options = call_.input.options;
    const double logprob = softmax.logprob(inverseTemperature_), entropy = softmax.entropy();
    call_.output.logprobs[begin_ + r] = static_cast<float>(logprob);
    if (call_.output.entropy) call_.output.entropy[begin_ + r] = static_cast<float>(entropy);
    losses_[index] = tokenLoss(terms(r), options, logprob, entropy);
    const double gradLogprob = losses_[index].gradLogprob;
    RowGradient& gradient = gradients_[index];
    gradient.gradScaled = static_cast<float>(gradLogprob) * inverseTemperature_;
    gradient.factor = -static_cast<float>(gradLogprob / softmax.sums.exponentials) * inverseTemperature_;
    gradient.targetGrad = -gradient.gradScaled * static_cast<float>(std::expm1(logprob));
    gradient.bonusScaled = options.entropyCoefficient * terms(r).accuracyScale * inverseTemperature_;
  }

  // Where the products run in bfloat16, rounds row r of the tile for them.
  void round(int64_t r, int64_t count) const {
    if (call_.bfloat16) narrow(call_.rounded + r * count, call_.logits + r * count, count);
  }
  Tensor tileOperand(int64_t count) const {
    return call_.bfloat16 ? Tensor(call_.rounded, DType::BFloat16, {rows_, count})
                          : Tensor(call_.logits, {rows_, count});
  }
  void addToGradHidden(int64_t from, int64_t to) {
    call_.product(gradHidden_, tileOperand(to - from), false, call_.input.weight.rows(from, to), false,
                  from == 0 ? 0.0f : 1.0f);
  }

  // Turns a tile's logits into their gradient, once the rows are finished, and multiplies it back.
  void backward(int64_t from, int64_t to) {
    const int64_t count = to - from;
    forRows(count, [&](int64_t r) {
      const size_t index = static_cast<size_t>(r);
      gradientOfLogits(call_.logits + r * count, from, count, target(r), softmax_[index], gradients_[index],
                       inverseTemperature_);
      round(r, count);
    });
    multiplyBack(from, to);
  }
  void multiplyBack(int64_t from, int64_t to) {
    addToGradHidden(from, to);
    if (!call_.output.gradWeight) return;
    call_.product(call_.output.gradWeight.rows(from, to), tileOperand(to - from), true, hidden_, false, 1);
  }

  // Takes the vocabulary in one piece. The exponentials are computed once, unless there is an entropy bonus,
  // which needs the logits again.
  void wholeRows() {
    const int64_t count = call_.vocabSize;
    const bool storeExponentials = gradHidden_ && call_.input.options.entropyCoefficient == 0;
    computeLogits(0, count);
    forRows(count, [&](int64_t r) {
      const size_t index = static_cast<size_t>(r);
      float* logits = call_.logits + r * count;
      RowSoftmax& softmax = softmax_[index];
      assert(target(r) >= 0 && target(r) < count);
      softmax.targetLogit = logits[target(r)];
      if (storeExponentials) {
        softmax.add<true>(logits, count, inverseTemperature_);
      } else {
        softmax.add<false>(logits, count, inverseTemperature_);
      }
      finishRow(r);
      if (!gradHidden_) return;
      if (storeExponentials) {
        const float factor = gradients_[index].factor;
#pragma omp simd
        for (int64_t v = 0; v < count; ++v) logits[v] *= factor;
        logits[target(r)] = gradients_[index].targetGrad;
      } else {
        gradientOfLogits(logits, 0, count, target(r), softmax, gradients_[index], inverseTemperature_);
      }
      round(r, count);
    });
    if (gradHidden_) multiplyBack(0, count);
  }

  // The sum leaves the target out:
  //   gradHidden = factor * sum_v e^x_v * weight_v + targetGrad * weight_target
  void streamGradient() {
    forTiles([&](int64_t from, int64_t to) {
      addTile<true>(from, to);
      addToGradHidden(from, to);
    });
    finishRows();
    const Tensor& weight = call_.input.weight;
    forRows(call_.width, [&](int64_t r) {
      const RowGradient& gradient = gradients_[static_cast<size_t>(r)];
      float* grad = gradHidden_.f32() + r * call_.width;
      const int64_t first = target(r) * call_.width;
      for (int64_t i = 0; i < call_.width; ++i) {
        const float value = call_.bfloat16 ? fromBFloat16(weight.bf16()[first + i]) : weight.f32()[first + i];
        grad[i] = gradient.factor * grad[i] + gradient.targetGrad * value;
      }
    });
  }

  const Call& call_;
  int64_t begin_, rows_;
  float inverseTemperature_;
  Tensor hidden_, gradHidden_;
  std::vector<RowSoftmax> softmax_;
  std::vector<RowGradient> gradients_;
  std::vector<TokenLoss> losses_;
};

}  // namespace

PolicyLossSums CpuBackend::linearLoss(const LinearLossInput& input, const LinearLossOutput& output) {
  const int64_t rows = input.hidden.shape[0], width = input.hidden.shape[1],
                vocabSize = input.weight.shape[0];
  const bool backward = static_cast<bool>(output.gradHidden),
             bfloat16 = input.weight.dtype == DType::BFloat16;
  assert(input.weight.shape[1] == width && (backward || !output.gradWeight));
  assert(input.options.temperature > 0);
  PolicyLossSums sums;
  if (rows == 0) return sums;
  const double flops =
      2.0 * static_cast<double>(rows) * static_cast<double>(vocabSize) * static_cast<double>(width);
  Profiler::Scope scope(profiler(), "linearLoss", (backward ? output.gradWeight ? 3 : 2 : 1) * flops);

  const bool onePass = !backward || (!output.gradWeight && input.options.entropyCoefficient == 0);
  const Plan plan =
      planOf(rows, vocabSize, bfloat16 ? 6 : 4, onePass || bfloat16 ? kEfficientRows : kFewestRowsOfTwoPasses,
             input.workspaceLimit);
  // The backend keeps this memory: fresh pages for every call would cost as much as a product.
  const size_t tile = static_cast<size_t>(plan.blockRows * plan.tileWidth);
  const size_t hiddenValues = static_cast<size_t>(plan.blockRows * width);
  const size_t bytes = tile * sizeof(float) + (bfloat16 ? (tile + hiddenValues) * sizeof(uint16_t) : 0);
  scratch_.reserve(*this, bytes);
  uint16_t* rounded = bfloat16 ? reinterpret_cast<uint16_t*>(scratch_.f32() + tile) : nullptr;
  const Call call{input, output, products_, profiler(),     threads_, vocabSize,
                  width, plan,   bfloat16,  scratch_.f32(), rounded,  bfloat16 ? rounded + tile : nullptr};
  for (int64_t begin = 0; begin < rows; begin += plan.blockRows) {
    LossBlock block(call, begin, std::min(rows, begin + plan.blockRows));
    block.run();
    for (const TokenLoss& loss : block.losses()) addToken(sums, loss);
  }
  sums.workspaceBytes = bytes + static_cast<size_t>(plan.blockRows) * LossBlock::bytesPerRow();
  return sums;
}

}  // namespace hdpo
