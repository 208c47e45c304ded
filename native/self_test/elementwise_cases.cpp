// Rows of the table: elementwise ops, those of adapters, and the optimiser's.
#include "self_test/cases.h"
#include "self_test/typical_options.h"

namespace hdpo::self_test {

namespace {

template <DType to, DType from>
OpCase convert(const CaseShape& s) {
  OpCase given;
  const size_t in = given.input({s.tokens, s.hidden}, 3, 0, from),
               out = given.output({s.tokens, s.hidden}, to);
  given.run = [=](Backend& backend, Call& call) { backend.convert(call[out], call[in]); };
  given.bytes = given.operandBytes();
  return given;
}

template <DType A = DType::Float32>
OpCase add(const CaseShape& s) {
  OpCase given;
  const size_t a = given.activationInput(A, {s.tokens, s.hidden}),
               b = given.activationInput(A, {s.tokens, s.hidden});
  const size_t out = given.activationOutput(A, {s.tokens, s.hidden});
  given.run = [=](Backend& backend, Call& call) { backend.add(call[out], call[a], call[b]); };
  given.bytes = given.operandBytes();
  return given;
}

template <DType A = DType::Float32>
OpCase addBias(const CaseShape& s) {
  OpCase given;
  const size_t rows = given.activationInPlace(A, {s.tokens, s.qkvWidth()}),
               bias = given.input({s.qkvWidth()});
  given.run = [=](Backend& backend, Call& call) { backend.addBias(call[rows], call[bias]); };
  given.bytes = given.operandBytes();
  return given;
}

template <DType A = DType::Float32>
OpCase biasBackward(const CaseShape& s) {
  OpCase given;
  const size_t grad = given.inPlace({s.qkvWidth()}),
               rows = given.activationInput(A, {s.tokens, s.qkvWidth()});
  given.run = [=](Backend& backend, Call& call) { backend.biasBackward(call[grad], call[rows]); };
  given.bytes = given.operandBytes();
  return given;
}

// Every second row, from the end.
std::vector<int32_t> someRows(int64_t tokens) {
  std::vector<int32_t> rows;
  for (int64_t row = tokens - 1; row >= 0; row -= 2) rows.push_back(static_cast<int32_t>(row));
  return rows;
}

template <DType A = DType::Float32>
OpCase gatherRows(const CaseShape& s) {
  OpCase given;
  const std::vector<int32_t> index = someRows(s.tokens);
  const size_t rows = given.activationInput(A, {s.tokens, s.hidden});
  const size_t out = given.activationOutput(A, {static_cast<int64_t>(index.size()), s.hidden});
  given.run = [=](Backend& backend, Call& call) { backend.gatherRows(call[out], call[rows], index.data()); };
  given.bytes = 2.0 * static_cast<double>(sizeOf(A)) * static_cast<double>(given.operands[out].count());
  return given;
}

template <DType A = DType::Float32>
OpCase scatterRows(const CaseShape& s) {
  OpCase given;
  const std::vector<int32_t> index = someRows(s.tokens);
  const size_t rows = given.activationInput(A, {static_cast<int64_t>(index.size()), s.hidden});
  const size_t out = given.activationOutput(A, {s.tokens, s.hidden});
  given.run = [=](Backend& backend, Call& call) { backend.scatterRows(call[out], call[rows], index.data()); };
  given.bytes = given.operandBytes();
  return given;
}

template <DType A = DType::Float32>
OpCase dropout(const CaseShape& s) {
  OpCase given;
  const size_t rows = given.activationInput(A, {s.tokens, s.hidden}),
               out = given.activationOutput(A, {s.tokens, s.hidden});
  given.run = [=](Backend& backend, Call& call) {
    backend.dropout(call[out], call[rows], DropoutMask{0.2f, 11, 3, 5});
  };
  given.bytes = given.operandBytes();
  return given;
}

constexpr int64_t kRank = 8;

std::vector<AdapterBlock> blocksOf(const CaseShape& s) {
  const int64_t keys = s.kvHeads * s.headDim, queries = s.heads * s.headDim;
  return {{0, queries}, {queries + keys, keys}};  // q and v have an adapter, k has none
}

OpCase spreadBlocks(const CaseShape& s) {
  OpCase given;
  const std::vector<AdapterBlock> blocks = blocksOf(s);
  const size_t up = given.input({blocks[0].rows + blocks[1].rows, kRank});
  const size_t out = given.output({s.qkvWidth(), 2 * kRank});
  given.run = [=](Backend& backend, Call& call) {
    backend.spreadBlocks(call[out], call[up], blocks.data(), 2, 0.5f);
  };
  given.bytes = given.operandBytes();
  return given;
}

OpCase spreadBlocksBackward(const CaseShape& s) {
  OpCase given;
  const std::vector<AdapterBlock> blocks = blocksOf(s);
  const size_t gradUp = given.inPlace({blocks[0].rows + blocks[1].rows, kRank});
  const size_t gradOut = given.input({s.qkvWidth(), 2 * kRank});
  given.run = [=](Backend& backend, Call& call) {
    backend.spreadBlocksBackward(call[gradUp], call[gradOut], blocks.data(), 2, 0.5f);
  };
  given.bytes = given.operandBytes();
  return given;
}

OpCase sumOfSquares(const CaseShape& s) {
  OpCase given;
  const size_t values = given.input({s.tokens * s.hidden + 3});
  given.run = [=](Backend& backend, Call& call) {
    call.hostResults.push_back({static_cast<float>(backend.sumOfSquares(call[values]))});
  };
  given.bytes = given.operandBytes();
  return given;
}

OpCase adamW(const CaseShape& s) {
  OpCase given;
  const int64_t count = s.tokens * s.hidden + 3;
  const size_t weight = given.inPlace({count}), gradient = given.input({count}, 0.1f);
  const size_t momentum = given.inPlace({count}, 0.01f), variance = given.inPlace({count}, 0.005f, 0.006f);
  given.run = [=](Backend& backend, Call& call) {
    AdamWOptions options = typicalAdamW();
    options.weightDecay = 0.1f;
    options.gradientScale = 0.7f;
    options.step = 3;
    backend.adamW(call[weight], call[gradient], call[momentum], call[variance], options);
  };
  given.bytes = 28.0 * static_cast<double>(count);
  return given;
}

}  // namespace

void appendElementwiseCases(std::vector<OpRow>& rows) {
  rows.push_back({"convert to bfloat16", convert<DType::BFloat16, DType::Float32>});
  rows.push_back({"convert to float32", convert<DType::Float32, DType::BFloat16>});
  rows.push_back({"add", add<>});
  rows.push_back({"addBias", addBias<>});
  rows.push_back({"biasBackward", biasBackward<>});
  rows.push_back({"gatherRows", gatherRows<>});
  rows.push_back({"scatterRows", scatterRows<>});
  rows.push_back({"dropout", dropout<>});
  rows.push_back({"spreadBlocks", spreadBlocks});
  rows.push_back({"spreadBlocksBackward", spreadBlocksBackward});
  rows.push_back({"sumOfSquares", sumOfSquares});
  rows.push_back({"adamW", adamW});
}

void appendBFloat16ElementwiseCases(std::vector<OpRow>& rows) {
  constexpr DType A = DType::BFloat16;
  rows.push_back({"add, bfloat16", add<A>});
  rows.push_back({"addBias, bfloat16", addBias<A>});
  rows.push_back({"biasBackward, bfloat16", biasBackward<A>});
  rows.push_back({"gatherRows, bfloat16", gatherRows<A>});
  rows.push_back({"scatterRows, bfloat16", scatterRows<A>});
  rows.push_back({"dropout, bfloat16", dropout<A>});
}

}  // namespace hdpo::self_test
