// Rows of the table for what a forward and a backward of the model are made of.
#include <cmath>

#include "self_test/cases.h"

namespace hdpo::self_test {

namespace {

constexpr float kEpsilon = 1e-6f;

double productFlops(int64_t rows, int64_t inner, int64_t columns) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(inner) * static_cast<double>(columns);
}

// x W^T, dY W and += dY^T x. A is the type of x and dY, and of the results of the first two.
template <bool transposeA, bool transposeB, DType type, DType A = DType::Float32>
OpCase matmul(const CaseShape& s) {
  OpCase given;
  const int64_t rows = s.tokens, inner = s.hidden, columns = s.feedForward;
  using Dimensions = std::vector<int64_t>;
  const size_t a = given.activationInput(A, transposeA ? Dimensions{inner, rows} : Dimensions{rows, inner});
  const Dimensions ofB = transposeB ? Dimensions{columns, inner} : Dimensions{inner, columns};
  const bool alike = transposeA && A == DType::BFloat16;
  const size_t b = alike ? given.activationInput(A, ofB) : given.input(ofB, 1, 0, type);
  const float beta = transposeA ? 1 : 0;  // gradients of weights are added to
  const size_t out = beta == 1 ? given.inPlace({rows, columns}) : given.activationOutput(A, {rows, columns});
  given.run = [=](Backend& backend, Call& call) {
    backend.matmul(call[out], call[a], transposeA, call[b], transposeB, beta);
  };
  given.flops = productFlops(rows, inner, columns);
  given.bytes = given.operandBytes();
  given.bfloat16Products = type == DType::BFloat16 || alike;
  return given;
}

template <DType A = DType::Float32>
OpCase rmsNorm(const CaseShape& s) {
  OpCase given;
  const size_t x = given.input({s.tokens, s.hidden}), weight = given.input({s.hidden}, 0.3f, 1);
  const size_t y = given.activationOutput(A, {s.tokens, s.hidden}), inverse = given.output({s.tokens});
  given.run = [=](Backend& backend, Call& call) {
    backend.rmsNorm(call[y], call[inverse], call[x], call[weight], kEpsilon);
  };
  given.bytes = given.operandBytes();
  return given;
}

template <DType A = DType::Float32>
OpCase addThenRmsNorm(const CaseShape& s) {
  OpCase given;
  const size_t stream = given.inPlace({s.tokens, s.hidden}), added = given.input({s.tokens, s.hidden});
  const size_t weight = given.input({s.hidden}, 0.3f, 1), y = given.activationOutput(A, {s.tokens, s.hidden});
  given.run = [=](Backend& backend, Call& call) {
    backend.addThenRmsNorm(call[y], call[stream], call[added], call[weight], kEpsilon);
  };
  given.bytes = given.operandBytes();
  return given;
}

template <bool accumulate, bool frozen, DType A = DType::Float32>
OpCase rmsNormBackward(const CaseShape& s) {
  OpCase given;
  const size_t x = given.input({s.tokens, s.hidden}), weight = given.input({s.hidden}, 0.3f, 1);
  const size_t inverse = given.input({s.tokens}, 0.1f, 1.7f),
               gradY = given.activationInput(A, {s.tokens, s.hidden});
  const size_t gradX = accumulate ? given.inPlace({s.tokens, s.hidden}) : given.output({s.tokens, s.hidden});
  const size_t gradWeight = given.inPlace({s.hidden});
  given.run = [=](Backend& backend, Call& call) {
    backend.rmsNormBackward(call[gradX], accumulate, frozen ? Tensor() : call[gradWeight], call[gradY],
                            call[x], call[weight], call[inverse]);
  };
  given.bytes = given.operandBytes();
  return given;
}

template <DType A = DType::Float32>
OpCase headNorm(const CaseShape& s) {
  OpCase given;
  const size_t qkv = given.activationInput(A, {s.tokens, s.qkvWidth()});
  const size_t query = given.input({s.headDim}, 0.3f, 1), key = given.input({s.headDim}, 0.3f, 1);
  const size_t out = given.activationOutput(A, {s.tokens, s.qkvWidth()}),
               inverse = given.output({s.tokens, s.heads + s.kvHeads});
  given.run = [=](Backend& backend, Call& call) {
    backend.headNorm(call[out], call[inverse], call[qkv], call[query], call[key], s.attentionShape(),
                     kEpsilon);
  };
  given.bytes = given.operandBytes();
  return given;
}

template <DType A = DType::Float32>
OpCase headNormBackward(const CaseShape& s) {
  OpCase given;
  const size_t qkv = given.activationInput(A, {s.tokens, s.qkvWidth()});
  const size_t query = given.input({s.headDim}, 0.3f, 1), key = given.input({s.headDim}, 0.3f, 1);
  const size_t inverse = given.input({s.tokens, s.heads + s.kvHeads}, 0.1f, 1.7f);
  const size_t gradQkv = given.activationInPlace(A, {s.tokens, s.qkvWidth()});
  const size_t gradQuery = given.inPlace({s.headDim}), gradKey = given.inPlace({s.headDim});
  given.run = [=](Backend& backend, Call& call) {
    backend.headNormBackward(call[gradQkv], call[gradQuery], call[gradKey], call[qkv], call[query], call[key],
                             call[inverse], s.attentionShape());
  };
  given.bytes = given.operandBytes();
  return given;
}

template <int direction, DType A = DType::Float32>
OpCase rotary(const CaseShape& s) {
  OpCase given;
  const size_t qkv = given.activationInPlace(A, {s.tokens, s.qkvWidth()});
  const std::vector<float> frequencies = inverseFrequencies(s.headDim);
  given.run = [=, positions = s.positions()](Backend& backend, Call& call) {
    backend.rotary(call[qkv], s.attentionShape(), positions.data(), frequencies.data(), direction);
  };
  given.bytes = 2.0 * static_cast<double>(sizeOf(A)) *
                static_cast<double>(s.tokens * (s.heads + s.kvHeads) * s.headDim);
  return given;
}

// Multiply-adds of the causal triangle: scores, and the sum over values.
double attentionFlops(const CaseShape& s) {
  double pairs = 0;
  const std::vector<int32_t> offsets = s.offsets();
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const double length = offsets[i + 1] - offsets[i];
    pairs += length * (length + 1) / 2;
  }
  return 4 * pairs * static_cast<double>(s.heads * s.headDim);
}

template <DType A = DType::Float32>
OpCase attention(const CaseShape& s) {
  OpCase given;
  const size_t qkv = given.activationInput(A, {s.tokens, s.qkvWidth()}, 2);
  const size_t out = given.activationOutput(A, {s.tokens, s.heads * s.headDim}),
               sums = given.output({s.tokens, s.heads});
  given.run = [=, offsets = s.offsets()](Backend& backend, Call& call) {
    backend.attention(call[out], call[sums], call[qkv], offsets.data(), s.sequences, s.attentionShape());
  };
  given.flops = attentionFlops(s);
  given.bytes = given.operandBytes();
  given.bfloat16Products = A == DType::BFloat16;
  return given;
}

// Its inputs come from a forward, which the same backend runs.
template <DType A = DType::Float32>
OpCase attentionBackward(const CaseShape& s) {
  OpCase given;
  const int64_t columns = s.heads * s.headDim;
  const size_t qkv = given.activationInput(A, {s.tokens, s.qkvWidth()}, 2),
               gradOut = given.activationInput(A, {s.tokens, columns});
  const size_t out = given.activationOutput(A, {s.tokens, columns}), sums = given.output({s.tokens, s.heads});
  const size_t gradQkv = given.activationOutput(A, {s.tokens, s.qkvWidth()});
  const std::vector<int32_t> offsets = s.offsets();
  given.prepare = [=](Backend& backend, Call& call) {
    backend.attention(call[out], call[sums], call[qkv], offsets.data(), s.sequences, s.attentionShape());
  };
  given.run = [=](Backend& backend, Call& call) {
    backend.attentionBackward(call[gradQkv], call[gradOut], call[qkv], call[out], call[sums], offsets.data(),
                              s.sequences, s.attentionShape());
  };
  given.flops = 2.5 * attentionFlops(s);
  given.bytes = given.operandBytes();
  given.bfloat16Products = A == DType::BFloat16;
  return given;
}

template <DType A = DType::Float32>
OpCase swiglu(const CaseShape& s) {
  OpCase given;
  const size_t gateUp = given.activationInput(A, {s.tokens, 2 * s.feedForward}, 4);
  const size_t out = given.activationOutput(A, {s.tokens, s.feedForward});
  given.run = [=](Backend& backend, Call& call) { backend.swiglu(call[out], call[gateUp]); };
  given.bytes = given.operandBytes();
  return given;
}

template <DType A = DType::Float32>
OpCase swigluBackward(const CaseShape& s) {
  OpCase given;
  const size_t gateUp = given.activationInput(A, {s.tokens, 2 * s.feedForward}, 4);
  const size_t gradOut = given.activationInput(A, {s.tokens, s.feedForward});
  const size_t grad = given.activationOutput(A, {s.tokens, 2 * s.feedForward});
  given.run = [=](Backend& backend, Call& call) {
    backend.swigluBackward(call[grad], call[gradOut], call[gateUp]);
  };
  given.bytes = given.operandBytes();
  return given;
}

template <DType type>
OpCase embedding(const CaseShape& s) {
  OpCase given;
  const size_t table = given.input({s.vocabSize, s.hidden}, 1, 0, type),
               out = given.output({s.tokens, s.hidden});
  given.run = [=, tokens = s.tokenIds()](Backend& backend, Call& call) {
    backend.embedding(call[out], call[table], tokens.data());
  };
  given.bytes = static_cast<double>(s.tokens * s.hidden) * static_cast<double>(4 + sizeOf(type));
  return given;
}

OpCase embeddingBackward(const CaseShape& s) {
  OpCase given;
  const size_t gradOut = given.input({s.tokens, s.hidden}), table = given.inPlace({s.vocabSize, s.hidden});
  given.run = [=, tokens = s.tokenIds()](Backend& backend, Call& call) {
    backend.embeddingBackward(call[table], call[gradOut], tokens.data());
  };
  given.bytes = 12.0 * static_cast<double>(s.tokens * s.hidden);
  return given;
}

}  // namespace

void appendModelCases(std::vector<OpRow>& rows) {
  rows.push_back({"matmul x W^T", matmul<false, true, DType::Float32>});
  rows.push_back({"matmul x W^T, bfloat16 W", matmul<false, true, DType::BFloat16>});
  rows.push_back({"matmul dY W", matmul<false, false, DType::Float32>});
  rows.push_back({"matmul dY W, bfloat16 W", matmul<false, false, DType::BFloat16>});
  rows.push_back({"matmul += dY^T x", matmul<true, false, DType::Float32>});
  rows.push_back({"rmsNorm", rmsNorm<>});
  rows.push_back({"addThenRmsNorm", addThenRmsNorm<>});
  rows.push_back({"rmsNormBackward", rmsNormBackward<false, false>});
  rows.push_back({"rmsNormBackward +=", rmsNormBackward<true, false>});
  rows.push_back({"rmsNormBackward, frozen weight", rmsNormBackward<true, true>});
  rows.push_back({"headNorm", headNorm<>});
  rows.push_back({"headNormBackward", headNormBackward<>});
  rows.push_back({"rotary", rotary<1>});
  rows.push_back({"rotary, inverse", rotary<-1>});
  rows.push_back({"attention", attention<>});
  rows.push_back({"attentionBackward", attentionBackward<>});
  rows.push_back({"swiglu", swiglu<>});
  rows.push_back({"swigluBackward", swigluBackward<>});
  rows.push_back({"embedding", embedding<DType::Float32>});
  rows.push_back({"embedding, bfloat16 table", embedding<DType::BFloat16>});
  rows.push_back({"embeddingBackward", embeddingBackward});
}

void appendBFloat16ModelCases(std::vector<OpRow>& rows) {
  constexpr DType A = DType::BFloat16;
  rows.push_back({"matmul x W^T, bfloat16", matmul<false, true, A, A>});
  rows.push_back({"matmul dY W, bfloat16", matmul<false, false, A, A>});
  rows.push_back({"matmul += dY^T x, bfloat16", matmul<true, false, DType::Float32, A>});
  rows.push_back({"rmsNorm, bfloat16", rmsNorm<A>});
  rows.push_back({"addThenRmsNorm, bfloat16", addThenRmsNorm<A>});
  rows.push_back({"rmsNormBackward +=, bfloat16", rmsNormBackward<true, false, A>});
  rows.push_back({"headNorm, bfloat16", headNorm<A>});
  rows.push_back({"headNormBackward, bfloat16", headNormBackward<A>});
  rows.push_back({"rotary, bfloat16", rotary<1, A>});
  rows.push_back({"attention, bfloat16", attention<A>});
  rows.push_back({"attentionBackward, bfloat16", attentionBackward<A>});
  rows.push_back({"swiglu, bfloat16", swiglu<A>});
  rows.push_back({"swigluBackward, bfloat16", swigluBackward<A>});
}

}  // namespace hdpo::self_test
