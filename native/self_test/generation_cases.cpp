// Rows of the table: packed products and attention over the paged cache.
#include <algorithm>
#include <limits>
#include <memory>

#include "generation/sampler.h"
#include "self_test/cases.h"
#include "self_test/typical_options.h"

namespace hdpo::self_test {

namespace {

int64_t blocksFor(int64_t tokens) { return (tokens + kvBlockTokens - 1) / kvBlockTokens; }

// Products of a decoding step, which has fewer rows than a training step, and of prompts.
template <PackedFormat format, DType A = DType::Float32, int64_t mostRows = 16>
OpCase packedMatmul(const CaseShape& s) {
  OpCase given;
  const int64_t rows = std::min<int64_t>(s.tokens, mostRows);
  const DType stored = format == PackedFormat::BFloat16 ? DType::BFloat16 : DType::Float32;
  const size_t x = given.activationInput(A, {rows, s.hidden});
  const size_t weight = given.input({2 * s.feedForward, s.hidden}, 1, 0, stored);
  const size_t out = given.activationOutput(A, {rows, 2 * s.feedForward});
  const auto packedIn = [=](Call& call) {
    return PackedWeight{
        .outputs = 2 * s.feedForward, .inputs = s.hidden, .data = call.memory[0].data(), .format = format};
  };
  given.prepare = [=](Backend& backend, Call& call) {
    const size_t bytes = backend.packedBytes({.rows = 2 * s.feedForward, .columns = s.hidden}, format);
    call.memory.emplace_back(backend, bytes);
    backend.packWeight(packedIn(call), call[weight]);
  };
  given.run = [=](Backend& backend, Call& call) { backend.packedMatmul(call[out], call[x], packedIn(call)); };
  const double values = static_cast<double>(2 * s.feedForward * s.hidden);
  given.flops = 2.0 * static_cast<double>(rows) * values;
  given.bytes = values * (format == PackedFormat::Float32 ? 4 : format == PackedFormat::BFloat16 ? 2 : 1);
  given.bfloat16Products = format != PackedFormat::Float32;  // int8 is held to the rate of bfloat16
  return given;
}

// Sequences in a cache whose blocks are given out in a scrambled order.
struct CachedSequences {
  std::vector<std::vector<int32_t>> tables;
  std::vector<CachedAttentionRow> all, last;  // every token, and each sequence's last
  std::vector<int32_t> lastRows;
  int64_t blocks = 0;

  explicit CachedSequences(const CaseShape& s) {
    const std::vector<int32_t> offsets = s.offsets();
    for (size_t i = 0; i + 1 < offsets.size(); ++i) blocks += blocksFor(offsets[i + 1] - offsets[i]);
    const int64_t step = blocks % 7 == 0 ? 5 : 7;
    int64_t next = 0;
    tables.resize(offsets.size() - 1);
    for (size_t i = 0; i + 1 < offsets.size(); ++i) {
      const int32_t length = offsets[i + 1] - offsets[i];
      for (int64_t b = 0; b < blocksFor(length); ++b) {
        tables[i].push_back(static_cast<int32_t>(blocks % step == 0 ? next : next * step % blocks));
        ++next;
      }
      for (int32_t t = 1; t <= length; ++t) all.push_back({tables[i].data(), t});
      last.push_back({tables[i].data(), length});
      lastRows.push_back(offsets[i + 1] - 1);
    }
  }
};

template <DType precision, DType A = DType::Float32>
OpCase cachedAttention(const CaseShape& s) {
  OpCase given;
  const auto sequences = std::make_shared<CachedSequences>(s);
  const int64_t rows = s.sequences, width = s.qkvWidth();
  const size_t qkv = given.activationInput(A, {s.tokens, width}, 2),
               lastQkv = given.activationOutput(A, {rows, width});
  const size_t out = given.activationOutput(A, {rows, s.heads * s.headDim});
  const auto cacheOf = [=](Call& call) {
    return Tensor(call.memory[0].data(), precision,
                  {sequences->blocks, 2, s.kvHeads, s.headDim * kvBlockTokens});
  };
  given.prepare = [=](Backend& backend, Call& call) {
    const int64_t values = sequences->blocks * 2 * s.kvHeads * s.headDim * kvBlockTokens;
    const std::vector<uint8_t> poison(static_cast<size_t>(values) * sizeOf(precision),
                                      0xFF);  // NaN in what nothing writes
    call.memory.emplace_back(backend, poison.size());
    backend.copyFromHost(call.memory[0].data(), poison.data(), poison.size());
    backend.writeCache(cacheOf(call), call[qkv], sequences->all.data(), s.attentionShape());
    backend.gatherRows(call[lastQkv], call[qkv], sequences->lastRows.data());
  };
  given.run = [=](Backend& backend, Call& call) {
    backend.cachedAttention(call[out], cacheOf(call), call[lastQkv], sequences->last.data(),
                            s.attentionShape());
  };
  given.bytes =
      2.0 * static_cast<double>(sizeOf(precision)) * static_cast<double>(s.tokens * s.kvHeads * s.headDim);
  return given;
}

// Takes every token of the sequences at once, from raw heads to attention's output.
template <DType precision, DType A = DType::Float32>
OpCase cacheHeads(const CaseShape& s) {
  OpCase given;
  const int64_t rows = s.tokens, width = s.qkvWidth();
  const size_t raw = given.activationInput(A, {rows, width}, 2), bias = given.input({width});
  const size_t query = given.input({s.headDim}, 0.3f, 1), key = given.input({s.headDim}, 0.3f, 1);
  const size_t out = given.activationOutput(A, {rows, s.heads * s.headDim});
  const auto sequences = std::make_shared<CachedSequences>(s);
  const std::vector<float> frequencies = inverseFrequencies(s.headDim);
  given.prepare = [=](Backend& backend, Call& call) {
    call.memory.emplace_back(backend, call[raw].bytes());
    const int64_t values = sequences->blocks * 2 * s.kvHeads * s.headDim * kvBlockTokens;
    call.memory.emplace_back(backend, static_cast<size_t>(values) * sizeOf(precision));
  };
  given.run = [=, positions = s.positions()](Backend& backend, Call& call) {
    Tensor qkv = call[raw];
    qkv.data = call.memory[0].data();
    const Tensor cache(call.memory[1].data(), precision,
                       {sequences->blocks, 2, s.kvHeads, s.headDim * kvBlockTokens});
    backend.convert(qkv, call[raw]);
    const HeadPreparation preparation{.bias = call[bias],
                                      .queryNorm = call[query],
                                      .keyNorm = call[key],
                                      .epsilon = 1e-6f,
                                      .positions = positions.data(),
                                      .inverseFrequencies = frequencies.data()};
    backend.cacheHeads(cache, qkv, preparation, sequences->all.data(), s.attentionShape());
    backend.cachedAttention(call[out], cache, qkv, sequences->all.data(), s.attentionShape());
  };
  given.bytes = 4.0 * static_cast<double>(sizeOf(A)) * static_cast<double>(rows * width);
  // A key that lies between two bfloat16 numbers may be cached as either.
  if (precision == DType::BFloat16) given.tolerance = std::max(given.tolerance, 1e-3);
  return given;
}

// Three steps of decoding, each with other tokens and lengths: a backend that records steps replays the last.
// They have what a model's step is made of: rows from a table that are rotated, cached and attended to, and a
// product.
OpCase decodingStep(const CaseShape& s) {
  OpCase given;
  const auto sequences = std::make_shared<CachedSequences>(s);
  const int64_t width = s.qkvWidth(), columns = s.heads * s.headDim;
  const size_t history = given.input({s.tokens, width}), table = given.input({s.vocabSize, width}, 2);
  const size_t weight = given.input({s.hidden, columns}), out = given.output({s.sequences, s.hidden});
  enum Memory : size_t { Cache, Qkv, Attention, Product };  // the last three with room for added rows
  const auto cacheOf = [=](Call& call) {
    return Tensor(call.memory[Cache].f32(), {sequences->blocks, 2, s.kvHeads, s.headDim * kvBlockTokens});
  };
  given.prepare = [=](Backend& backend, Call& call) {
    const int64_t rows = backend.decodingRows(sequences->last.data(), s.sequences);
    for (const int64_t count : {sequences->blocks * 2 * s.kvHeads * s.headDim * kvBlockTokens, rows * width,
                                rows * columns, rows * s.hidden}) {
      call.memory.emplace_back(backend, static_cast<size_t>(count) * sizeof(float));
    }
    backend.writeCache(cacheOf(call), call[history], sequences->all.data(), s.attentionShape());
  };
  given.run = [=, frequencies = inverseFrequencies(s.headDim)](Backend& backend, Call& call) {
    const auto rows = static_cast<size_t>(backend.decodingRows(sequences->last.data(), s.sequences));
    const auto count = static_cast<int64_t>(rows);
    const Tensor qkv(call.memory[Qkv].f32(), {count, width});
    const Tensor attention(call.memory[Attention].f32(), {count, columns});
    const Tensor product(call.memory[Product].f32(), {count, s.hidden});
    std::vector<int32_t> tokens(rows), positions(rows), first;
    std::vector<CachedAttentionRow> cached(rows);
    for (int32_t step = 0; step < 3; ++step) {
      for (size_t r = 0; r < sequences->last.size(); ++r) {
        const CachedAttentionRow& last = sequences->last[r];
        cached[r] = {last.blocks, std::max(1, last.length - 2 + step)};
        positions[r] = cached[r].length - 1;
        tokens[r] = static_cast<int32_t>((static_cast<int64_t>(r) * 31 + step * 5) % s.vocabSize);
      }
      const DecodingStep one{.decoder = &call,
                             .cache = call.memory[Cache].data(),
                             .rows = count,
                             .tokens = tokens.data(),
                             .positions = positions.data(),
                             .cached = cached.data(),
                             .inverseFrequencies = frequencies.data(),
                             .frequencies = s.headDim / 2};
      const HeadPreparation preparation{.positions = positions.data(),
                                        .inverseFrequencies = frequencies.data()};
      backend.decodingStep(one, [&] {
        backend.embedding(qkv, call[table], tokens.data());
        backend.cacheHeads(cacheOf(call), qkv, preparation, cached.data(), s.attentionShape());
        backend.cachedAttention(attention, cacheOf(call), qkv, cached.data(), s.attentionShape());
        backend.matmul(product, attention, false, call[weight], true, 0);
      });
    }
    for (int64_t r = 0; r < s.sequences; ++r) first.push_back(static_cast<int32_t>(r));
    backend.gatherRows(call[out], product, first.data());
  };
  given.flops = 6.0 * static_cast<double>(s.sequences * columns * s.hidden);
  given.bytes = 12.0 * static_cast<double>(columns * s.hidden + 2 * s.tokens * s.kvHeads * s.headDim);
  return given;
}

// Options for rows: every option alone, and combinations of them.
std::vector<SamplingOptions> samplingOptions(int64_t rows, int64_t vocabSize) {
  std::vector<SamplingOptions> all(static_cast<size_t>(rows), typicalSampling());
  for (size_t r = 0; r < all.size(); ++r) {
    SamplingOptions& options = all[r];
    options.seed = 1000 + r;
    options.temperature = r % 7 == 5 ? 0.0f : 0.6f + 0.1f * static_cast<float>(r % 5);
    if (r % 4 == 1) options.topK = 5;
    if (r % 3 == 1) options.topP = 0.8f;
    if (r % 5 == 2) options.minP = 0.05f;
    const auto last = static_cast<int32_t>(vocabSize - 1);
    if (r % 2 == 1)
      options.logitBias = {{last, 2.5f}, {0, -std::numeric_limits<float>::infinity()}, {last, 0.5f}};
  }
  return all;
}

// Where the backend leaves drawing to the host, the host draws.
OpCase sampleTokens(const CaseShape& s) {
  OpCase given;
  const int64_t rows = std::min<int64_t>(s.tokens, 64), vocabSize = s.vocabSize;
  const size_t logits = given.input({rows, vocabSize}, 4);
  const auto options = std::make_shared<std::vector<SamplingOptions>>(samplingOptions(rows, vocabSize));
  given.run = [=](Backend& backend, Call& call) {
    std::vector<SamplingDraw> draws;
    for (size_t r = 0; r < options->size(); ++r) {
      const SamplingOptions& row = (*options)[r];
      draws.push_back({.temperature = row.temperature,
                       .topP = row.topP,
                       .minP = row.minP,
                       .topK = row.topK,
                       .seed = row.seed,
                       .position = static_cast<int64_t>(3 * r),
                       .logitBias = &row.logitBias});
    }
    std::vector<SampledToken> drawn(draws.size());
    if (!backend.sampleTokens(call[logits], draws.data(), drawn.data())) {
      std::vector<float> values(static_cast<size_t>(call[logits].count()));
      backend.copyToHost(values.data(), call[logits].data, call[logits].bytes());
      std::vector<SamplingRow> hostRows;
      for (size_t r = 0; r < draws.size(); ++r) {
        hostRows.push_back(
            {values.data() + static_cast<int64_t>(r) * vocabSize, &(*options)[r], draws[r].position});
      }
      hdpo::sampleTokens(hostRows.data(), rows, vocabSize, drawn.data());
    }
    std::vector<float> statuses, tokens, logprobs;
    for (const SampledToken& token : drawn) {
      statuses.push_back(static_cast<float>(token.status));
      tokens.push_back(static_cast<float>(token.token));
      logprobs.push_back(token.logprob);
    }
    for (const auto* result : {&statuses, &tokens, &logprobs}) call.hostResults.push_back(*result);
  };
  given.bytes = given.operandBytes();
  return given;
}

}  // namespace

void appendGenerationCases(std::vector<OpRow>& rows) {
  rows.push_back({"packedMatmul", packedMatmul<PackedFormat::Float32>});
  rows.push_back({"packedMatmul, bfloat16", packedMatmul<PackedFormat::BFloat16>});
  rows.push_back({"packedMatmul, int8", packedMatmul<PackedFormat::Int8>});
  rows.push_back({"packedMatmul, int8, 256 rows", packedMatmul<PackedFormat::Int8, DType::Float32, 256>});
  rows.push_back({"writeCache, cachedAttention", cachedAttention<DType::Float32>});
  rows.push_back({"writeCache, cachedAttention, bfloat16", cachedAttention<DType::BFloat16>});
  rows.push_back({"cacheHeads, cachedAttention", cacheHeads<DType::Float32>});
  rows.push_back({"cacheHeads, cachedAttention, bfloat16", cacheHeads<DType::BFloat16>});
  rows.push_back({"decodingStep, three in a row", decodingStep});
  rows.push_back({"sampleTokens", sampleTokens});
}

void appendBFloat16GenerationCases(std::vector<OpRow>& rows) {
  constexpr DType A = DType::BFloat16;
  rows.push_back({"packedMatmul, bfloat16 rows too", packedMatmul<PackedFormat::BFloat16, A>});
  rows.push_back({"packedMatmul, int8, bfloat16 rows", packedMatmul<PackedFormat::Int8, A>});
  rows.push_back({"writeCache, cachedAttention, bfloat16 rows too", cachedAttention<A, A>});
  rows.push_back({"cacheHeads, cachedAttention, bfloat16 rows too", cacheHeads<A, A>});
}

}  // namespace hdpo::self_test
