// Recorded and replayed decoding steps, compared with the same steps run op by op, on the emulated device.
#include "cuda/decoding_graphs.h"

#include <algorithm>
#include <optional>

#include "emulated_backend.h"
#include "generation/decoder.h"
#include "training_batches.h"

using namespace hdpo;

namespace {

constexpr int64_t kSequences = 9, kBlocksOfSequence = 34;

struct Variant {
  const char* name;
  PackedFormat format = PackedFormat::Float32;
  DType precision = DType::Float32, kvPrecision = DType::Float32;
  bool adapter = false;
};

ModelConfig decodingConfig() {
  ModelConfig config = smallConfigs().back().config;  // grouped queries, biases, QK-norm, untied
  config.layers = 1;
  config.maxPositions = 1024;
  return config;
}

AdapterOptions adapterOptions() {
  AdapterOptions options = typicalAdapter();
  options.rank = 2;
  options.targets = {true, false, true, true, false, true, true};
  return options;
}

// A decoder over a cache of random keys and values, in which every sequence has its own scrambled blocks.
class Decoding {
 public:
  Decoding(bool graphs, const Variant& variant)
      : backend(emulatedBackend(graphs)),
        config(decodingConfig()),
        weights(*backend, config, variant.precision),
        adapter(*backend, config, adapterOptions()),
        cache(*backend, config, cacheBytes(variant), variant.kvPrecision),
        decoder(*backend, weights, variant.adapter ? &adapter : nullptr, variant.format) {
    randomise(weights, 31);
    randomise(adapter, 32);
    REQUIRE(cache.blocks() == kSequences * kBlocksOfSequence);
    const Tensor all = cache.layer(0);
    std::vector<float> values;
    for (int64_t i = 0; i < all.count(); ++i) values.push_back(normal(33, 0, static_cast<uint64_t>(i)));
    Buffer drawn(*backend, values.size() * sizeof(float));
    backend->copyFromHost(drawn.data(), values.data(), values.size() * sizeof(float));
    backend->convert(all, Tensor(drawn.f32(), {all.count()}));
    for (int64_t s = 0; s < kSequences; ++s) {
      for (int64_t b = 0; b < kBlocksOfSequence; ++b)
        blocks_[s].push_back(static_cast<int32_t>((s + b * kSequences) * 7 % cache.blocks()));
    }
  }

  // Adds one token to each sequence, which then has `lengths[i]` tokens, and returns their logits.
  std::vector<float> step(const std::vector<int32_t>& lengths, uint64_t tokens = 34) {
    const auto count = static_cast<int64_t>(lengths.size());
    std::vector<int32_t> drawn, positions, index;
    std::vector<CachedAttentionRow> rows;
    for (int64_t r = 0; r < count; ++r) {
      const int32_t length = lengths[static_cast<size_t>(r)];
      drawn.push_back(randomTokens(length, config.vocabSize, tokens + static_cast<uint64_t>(r)).back());
      positions.push_back(length - 1);
      rows.push_back({blocks_[r % kSequences].data(), length});
      index.push_back(static_cast<int32_t>(r));
    }
    decoder.forward({count, drawn.data(), positions.data(), rows.data()}, cache);
    const Tensor logits = decoder.logits(index.data(), count);
    std::vector<float> result(static_cast<size_t>(logits.count()));
    backend->copyToHost(result.data(), logits.data, logits.bytes());
    return result;
  }

  std::unique_ptr<cuda::CudaBackend> backend;
  const ModelConfig config;
  Parameters weights;
  Adapter adapter;
  KvCache cache;
  Decoder decoder;

 private:
  size_t cacheBytes(const Variant& variant) const {
    return static_cast<size_t>(kSequences * kBlocksOfSequence * config.layers * 2 * config.kvHeads *
                               config.headDim * kvBlockTokens) *
           sizeOf(variant.kvPrecision);
  }
  std::vector<int32_t> blocks_[kSequences];
};

// How many graphs the action launches. A recorded step is launched too.
uint64_t replaysOf(const std::function<void()>& action) {
  const uint64_t before = emulation::graphLaunches();
  action();
  return emulation::graphLaunches() - before;
}

// A step without a decoder: `count` rows of length 0, and any ops. No two of these are taken for equal steps.
struct BareStep {
  std::vector<int32_t> tokens, positions;
  std::vector<CachedAttentionRow> rows;
  std::vector<float> frequencies = {1, 0.5f};
  int64_t variant;
  explicit BareStep(int64_t count) {
    static int64_t made = 0;
    variant = ++made;
    tokens.resize(static_cast<size_t>(count), 3);
    positions.resize(tokens.size(), 0);
    rows.resize(tokens.size());
  }
  void run(Backend& backend, const std::function<void()>& ops) const {
    const DecodingStep step{.variant = variant,
                            .rows = static_cast<int64_t>(tokens.size()),
                            .tokens = tokens.data(),
                            .positions = positions.data(),
                            .cached = rows.data(),
                            .inverseFrequencies = frequencies.data(),
                            .frequencies = 2};
    backend.decodingStep(step, ops);
  }
};

}  // namespace

TEST_CASE("CUDA decoding: replayed steps give the bits of steps op by op, as sequences come and go") {
  const DType single = DType::Float32, brief = DType::BFloat16;
  const std::vector<Variant> variants = {
      {"float32"},
      {"bfloat16", PackedFormat::BFloat16, brief, brief},
      {"an adapter beside bfloat16 weights", PackedFormat::BFloat16, single, brief, true},
      {"an adapter beside int8 weights", PackedFormat::Int8, single, brief, true}};
  for (const Variant& variant : variants) {
    CAPTURE(variant.name);
    {
      Decoding direct(false, variant), replayed(true, variant);
      std::vector<int32_t> lengths = {248, 14, 1, 31, 95, 16, 253, 40, 508};
      uint64_t launched = 0;
      // A step's first sequence, and how many there are. The longest row has 1, 2 or 4 stretches of 256
      // tokens.
      struct Range {
        size_t first, count;
      };
      const std::vector<Range> steps = {{0, 9}, {0, 9}, {0, 9}, {0, 8}, {0, 5}, {0, 5}, {0, 3}, {0, 3},
                                        {0, 3}, {0, 3}, {0, 3}, {0, 3}, {1, 3}, {0, 1}, {0, 1}, {0, 1},
                                        {2, 1}, {3, 2}, {0, 9}, {0, 9}, {0, 9}, {0, 9}, {4, 5}, {0, 2}};
      for (size_t i = 0; i < steps.size(); ++i) {
        const auto begin = lengths.begin() + static_cast<int64_t>(steps[i].first),
                   end = begin + static_cast<int64_t>(steps[i].count);
        const std::vector<int32_t> now(begin, end);
        CAPTURE(i);
        const std::vector<float> expected = direct.step(now);
        std::vector<float> found;
        launched += replaysOf([&] { found = replayed.step(now); });
        CHECK(found == expected);
        std::for_each(begin, end, [](int32_t& length) { ++length; });
      }
      CHECK(lengths[0] > 257);
      CHECK(lengths[8] > 513);
      CHECK(direct.backend->decodingGraphs().size() == 0);
      CHECK(launched >= 10);
    }
    CHECK(emulation::deviceAllocations() == 0);
    CHECK(emulation::graphs() == 0);
  }
}

TEST_CASE("CUDA decoding: a replay reads the step's own tokens, positions, lengths and blocks") {
  Decoding direct(false, {"float32"}), replayed(true, {"float32"});
  replayed.step({5, 40});
  replayed.step({6, 41});
  const auto check = [&](const std::vector<int32_t>& lengths, uint64_t tokens) {
    std::vector<float> found;
    CHECK(replaysOf([&] { found = replayed.step(lengths, tokens); }) == 1);
    CHECK(found == direct.step(lengths, tokens));
    return found;
  };
  direct.step({5, 40});
  direct.step({6, 41});
  const std::vector<float> first = check({7, 42}, 34);
  CHECK(check({7, 42}, 35) != first);
  CHECK(check({7, 200}, 34) != first);
  CHECK(check({42, 7}, 34) != first);
}

TEST_CASE("CUDA decoding: the arrays of a step are its own, copied before the next step's are written") {
  Decoding decoding(true, {"float32"});
  cuda::CudaBackend& backend = *decoding.backend;
  Buffer memory(backend, 64), gathered(backend, 16);
  const std::vector<float> values = {10, 11, 12, 13};
  backend.copyFromHost(memory.data(), values.data(), 16);
  BareStep step(2);
  for (const int32_t token : {3, 1, 2}) {  // run, recorded, replayed: nothing in between waits
    step.tokens[0] = token;
    step.run(backend, [] {});
  }
  step.tokens[0] = 0;  // another op's array: what the step was sent is no longer looked at
  backend.gatherRows(Tensor(gathered.f32(), {2, 1}), Tensor(memory.f32(), {4, 1}), step.tokens.data());
  std::vector<float> found(2);
  backend.copyToHost(found.data(), gathered.data(), 8);
  CHECK(found == std::vector<float>{10, 13});
}

TEST_CASE("CUDA decoding: a merged adapter is another step, a changed one is not") {
  const Variant variant{"an adapter", PackedFormat::BFloat16, DType::Float32, DType::BFloat16, true};
  Decoding direct(false, variant), replayed(true, variant);
  const auto both = [&](const std::function<void(Decoding&)>& change) {
    change(direct), change(replayed);
    CHECK(replayed.step({20}) == direct.step({20}));
  };
  const auto nothing = [](Decoding&) {};
  for (int i = 0; i < 3; ++i) both(nothing);
  CHECK(replaysOf([&] {
          both([](Decoding& decoding) {
            randomise(decoding.adapter, 44);
            decoding.decoder.weights().adapterChanged();
          });
        }) == 1);
  for (const bool merged : {true, false}) {
    both([merged](Decoding& decoding) { decoding.decoder.weights().setMerged(merged); });
    for (int i = 0; i < 2; ++i) both(nothing);
  }
}

TEST_CASE("CUDA decoding: released memory drops the graphs that may read it, and no others") {
  Decoding decoding(true, {"float32"});
  const cuda::DecodingGraphs& graphs = decoding.backend->decodingGraphs();
  std::optional<Buffer> older(std::in_place, *decoding.backend, 64);
  for (int i = 0; i < 3; ++i) decoding.step({9});
  CHECK(graphs.size() == 1);
  CHECK(emulation::graphs() == 1);
  CHECK(replaysOf([&] {
          Buffer(*decoding.backend, 64);
          decoding.step({9});
        }) == 1);
  older.reset();
  CHECK(graphs.size() == 0);
  CHECK(emulation::graphs() == 0);
  for (int i = 0; i < 3; ++i) decoding.step({9});
  CHECK(emulation::graphs() == 1);
  decoding.step({9, 9, 9, 9, 9});  // its buffers are larger
  CHECK(emulation::graphs() == 0);
  CHECK(replaysOf([&] { decoding.step({9}); }) == 0);
}

TEST_CASE("CUDA decoding: what cannot be recorded is an error that names the op, and the backend goes on") {
  {
    Decoding decoding(true, {"float32"});
    const std::vector<float> before = decoding.step({30});
    cuda::CudaBackend& backend = *decoding.backend;
    Buffer rows(backend, 64), grown(backend, 64);
    const Tensor four(rows.f32(), {4, 4});
    const std::vector<int32_t> index = {0, 1, 2, 3};
    const auto allocations = emulation::deviceAllocations();
    float value = 0;
    const auto failure = [&](const std::function<void()>& ops) {
      const BareStep step(1);
      step.run(backend, [] {});
      const std::string error = refusal([&] {
        step.run(backend, [&] {
          backend.add(four, four, four);
          ops();
        });
      });
      CHECK(decoding.step({30}) == before);
      return error;
    };
    const std::string prefix = "ERR_INTERNAL recording a decoding step, in ";
    CHECK(failure([&] { Buffer(backend, 64); }) == prefix + "add or after it: memory is allocated");
    CHECK(failure([&] { backend.gatherRows(four, four, index.data()); }) ==
          prefix + "gatherRows or after it: an array is sent that is none of the step's");
    CHECK(failure([&] { backend.copyToHost(&value, four.data, 4); }) ==
          prefix + "add or after it: a copy to the host waits");
    CHECK(failure([&] { backend.copyFromHost(four.data, &value, 4); }) ==
          prefix + "add or after it: a copy from the host waits");
    CHECK(contains(failure([&] { backend.sumOfSquares(four); }), prefix + "sumOfSquares"));
    CHECK(emulation::deviceAllocations() >= allocations);  // sumOfSquares' workspace may be new
    const auto held = emulation::deviceAllocations();
    CHECK(failure([&] { grown.reserve(backend, 128); }) == prefix + "add or after it: memory is allocated");
    CHECK(emulation::deviceAllocations() == held - 1);  // less what was released while recording
    grown.reserve(backend, 128);
    CHECK(failure([&] { grown = Buffer(); }) == prefix + "add or after it: memory was released");
    CHECK_THROWS_AS(failure([] { throw std::bad_alloc(); }), std::bad_alloc);
    CHECK(decoding.step({30}) == before);
  }
  CHECK(emulation::deviceAllocations() == 0);
}

TEST_CASE("CUDA decoding: many rows, a profile and HDPO_CUDA_GRAPHS=off run op by op") {
  Decoding decoding(true, {"float32"});
  cuda::CudaBackend& backend = *decoding.backend;
  for (const auto& [rows, padded] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 0}, {1, 1}, {2, 2}, {3, 4}, {5, 8}, {129, 256}, {256, 256}, {257, 257}}) {
    const std::vector<CachedAttentionRow> alone(static_cast<size_t>(rows), {nullptr, 1});
    CHECK(backend.decodingRows(alone.data(), rows) == padded);
    CHECK(emulatedBackend(false)->decodingRows(alone.data(), rows) == rows);
  }
  // A prompt's rows are not recorded, so none are added.
  std::vector<CachedAttentionRow> prompt;
  const int32_t block = 0;
  for (int32_t length = 1; length <= 9; ++length) prompt.push_back({&block, length});
  CHECK(backend.decodingRows(prompt.data(), 9) == 9);
  const auto replaysOfSteps = [&](int64_t rows, int32_t length) {
    BareStep step(rows);
    const std::vector<int32_t> blocks(static_cast<size_t>(cuda::tableStrideFor(length)));
    step.rows[0] = {blocks.data(), length};
    return replaysOf([&] {
      for (int i = 0; i < 3; ++i) step.run(backend, [] {});
    });
  };
  CHECK(replaysOfSteps(256, 64 * 256) == 2);
  CHECK(replaysOfSteps(256, 64 * 256 + 1) == 0);
  CHECK(replaysOfSteps(257, 1) == 0);
  const std::vector<float> expected = decoding.step({30});
  decoding.step({30});
  backend.profiler().enable(true);
  CHECK(replaysOf([&] { CHECK(decoding.step({30}) == expected); }) == 0);
  CHECK(backend.profiler().entries().at("cachedAttention").calls == 1);
  backend.profiler().enable(false);
  CHECK(replaysOf([&] { CHECK(decoding.step({30}) == expected); }) == 1);

  CHECK(cuda::graphsWanted(nullptr));
  CHECK(cuda::graphsWanted(""));
  CHECK(cuda::graphsWanted("on"));
  CHECK(!cuda::graphsWanted("off"));
  CHECK(refusal([] { cuda::graphsWanted("0"); }) ==
        "ERR_ARGUMENT HDPO_CUDA_GRAPHS must be on or off, got '0'");
}
