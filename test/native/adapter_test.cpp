#include "model/adapter.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "finite_differences.h"
#include "model/adapter_products.h"
#include "model/merged_weight.h"
#include "op_test.h"
#include "temporary_folder.h"
#include "training_batches.h"

using namespace hdpo;

namespace {

AdapterOptions allTargets(float dropout = 0) {
  AdapterOptions options = typicalAdapter();
  options.rank = 3;
  options.alpha = 4;
  options.dropout = dropout;
  options.targets.fill(true);
  return options;
}

AdapterOptions only(std::initializer_list<TargetModule> modules) {
  AdapterOptions options = allTargets();
  options.targets.fill(false);
  for (const TargetModule module : modules) options.targets[static_cast<size_t>(module)] = true;
  return options;
}

ModelOptions withAdapter(const AdapterOptions& adapter) {
  ModelOptions options;
  options.adapter = adapter;
  return options;
}

std::unique_ptr<OwningLearner> adapted(Backend& backend, const ModelConfig& config, uint64_t seed,
                                       const AdapterOptions& adapter, bool recompute = false) {
  return learnerFor(backend, config, seed, recompute, withAdapter(adapter));
}

// Compares the gradients of every A and B with finite differences of the supervised loss.
GradientDisagreement disagreement(Backend& backend, OwningLearner& learner, const TrainingBatch& batch) {
  const auto loss = [&] {
    return learner.accumulate(batch, Aggregation::TokenMean, typicalLoss(), 12, true, nullptr).loss;
  };
  loss();
  Adapter gradients(backend, learner.model.config(), learner.model.adapter()->options());
  gradients.copyFrom(learner.gradients());
  // The loss bends more in B than in weights: at the usual step truncation alone is 7e-3, and at this one a
  // fourth of that.
  return compareGradients(*learner.model.adapter(), gradients, loss, 2e-3f);
}

std::vector<float> logprobsOf(Learner& learner, const Model& model, const TrainingBatch& batch) {
  std::vector<float> logprobs(batch.tokens.size());
  learner.logprobs(model, batch.tokens, batch.offsets, 1, 4096, logprobs.data(), nullptr);
  return logprobs;
}

}  // namespace

TEST_CASE("adapter ops: on the CPU as in the reference") {
  const std::vector<AdapterBlock> blocks = {{0, 5}, {9, 4}};
  const int64_t outputs = 17, rank = 3;
  checkAgainstReference(
      [&](Backend& backend) {
        Values up = randomValues(9 * rank, 1), spread(static_cast<size_t>(outputs * 2 * rank), 7.0f);
        Values gradUp = randomValues(9 * rank, 2), gradSpread = randomValues(outputs * 2 * rank, 3);
        backend.spreadBlocks(Tensor(spread.data(), {outputs, 2 * rank}), Tensor(up.data(), {9, rank}),
                             blocks.data(), 2, 0.5f);
        backend.spreadBlocksBackward(Tensor(gradUp.data(), {9, rank}),
                                     Tensor(gradSpread.data(), {outputs, 2 * rank}), blocks.data(), 2, 0.5f);
        return std::vector<Values>{spread, gradUp};
      },
      1e-6);
  for (const int64_t columns : {1, 7, 64}) {
    CAPTURE(columns);
    checkAgainstReference(
        [&](Backend& backend) {
          Values x = randomValues(1000 * columns, 4), y(x.size());
          const DropoutMask mask{0.3f, 11, 12, 13};
          backend.dropout(Tensor(y.data(), {1000, columns}), Tensor(x.data(), {1000, columns}), mask);
          return std::vector<Values>{y};
        },
        1e-6);
  }
}

TEST_CASE("adapter ops: dropout keeps the mean, by a mask that follows the token") {
  const auto backend = createCpuBackend(2);
  constexpr int64_t kRows = 400, kColumns = 50;
  Values ones(kRows * kColumns, 1.0f), dropped(ones.size()), shifted(ones.size());
  const Tensor x(ones.data(), {kRows, kColumns});
  backend->dropout(Tensor(dropped.data(), {kRows, kColumns}), x, {0.25f, 1, 2, 0});
  const auto zeros = std::count(dropped.begin(), dropped.end(), 0.0f);
  CHECK(std::abs(zeros / double{kRows * kColumns} - 0.25) < 0.015);
  CHECK(std::all_of(dropped.begin(), dropped.end(),
                    [](float v) { return v == 0 || std::abs(v - 4 / 3.0f) < 1e-6f; }));
  backend->dropout(Tensor(shifted.data(), {kRows, kColumns}), x, {0.25f, 1, 2, 10});
  CHECK(std::equal(shifted.begin(), shifted.end() - 10 * kColumns, dropped.begin() + 10 * kColumns));
  backend->dropout(Tensor(shifted.data(), {kRows, kColumns}), x, {0.25f, 1, 3, 0});
  CHECK(shifted != dropped);
}

TEST_CASE("adapter: names and shapes are PEFT's") {
  ModelConfig config = smallConfig();
  config.layers = 1;
  const std::vector<ParameterEntry> entries =
      adapterEntries(config, only({TargetModule::Query, TargetModule::Value, TargetModule::Down}));
  std::vector<std::string> described;
  for (const ParameterEntry& entry : entries) {
    described.push_back(entry.name.substr(std::string("base_model.model.model.layers.0.").size()) + " " +
                        std::to_string(entry.shape[0]) + "x" + std::to_string(entry.shape[1]));
    CHECK(entry.name.starts_with("base_model.model.model.layers.0."));
  }
  CHECK(described ==
        std::vector<std::string>{"self_attn.q_proj.lora_A.weight 3x8", "self_attn.v_proj.lora_A.weight 3x8",
                                 "self_attn.q_proj.lora_B.weight 8x3", "self_attn.v_proj.lora_B.weight 8x3",
                                 "mlp.down_proj.lora_A.weight 3x12", "mlp.down_proj.lora_B.weight 8x3"});
  AdapterOptions options = allTargets();
  CHECK(options.scale() == doctest::Approx(4.0 / 3));
  options.rankStabilized = true;
  CHECK(options.scale() == doctest::Approx(4 / std::sqrt(3.0)));
  const auto refused = [&](const std::function<void(AdapterOptions&)>& damage) {
    AdapterOptions wrong = allTargets();
    damage(wrong);
    return refusal([&] { validate(wrong); });
  };
  CHECK(contains(refused([](AdapterOptions& o) { o.rank = 0; }), "ERR_CONFIG lora.rank"));
  CHECK(contains(refused([](AdapterOptions& o) { o.alpha = 0; }), "ERR_CONFIG lora.alpha"));
  CHECK(contains(refused([](AdapterOptions& o) { o.dropout = 1; }), "ERR_CONFIG lora.dropout"));
  CHECK(contains(refused([](AdapterOptions& o) { o.targets.fill(false); }), "ERR_CONFIG lora.targetModules"));
}

TEST_CASE("adapter: its gradient agrees with finite differences, for all modules and each alone") {
  for (const auto& backend : allBackends()) {
    for (const NamedConfig& named : smallConfigs()) {
      CAPTURE(backend->name());
      CAPTURE(named.name);
      const TrainingBatch batch = policyBatch(named.config);
      for (const bool recompute : {false, true}) {
        const auto learner = adapted(*backend, named.config, 61, allTargets(), recompute);
        const GradientDisagreement worst = disagreement(*backend, *learner, batch);
        CAPTURE(worst.where);
        CHECK(worst.relative < 3e-3);
      }
    }
    const ModelConfig config = smallConfigs().back().config;
    for (size_t module = 0; module < kTargetModuleNames.size(); ++module) {
      CAPTURE(kTargetModuleNames[module]);
      const auto learner = adapted(*backend, config, 62, only({static_cast<TargetModule>(module)}));
      const GradientDisagreement worst = disagreement(*backend, *learner, policyBatch(config));
      CAPTURE(worst.where);
      CHECK(worst.relative < 3e-3);
    }
  }
}

TEST_CASE("adapter: its products beside bfloat16 weights are those of float32 but for rounded operands") {
  // Two modules of rank 4 share a projection of 600 outputs, which is large enough for the CPU's narrow
  // products.
  constexpr int64_t kRows = 150, kInputs = 520, kOutputs = 600, kRank = 4, kWidth = 2 * kRank, kUpRows = 500;
  const Values x = randomValues(kRows * kInputs, 1), gradY = randomValues(kRows * kOutputs, 2);
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    for (const float dropout : {0.0f, 0.4f}) {
      CAPTURE(dropout);
      const DropoutMask mask{dropout, 5, 6, 7};
      // Returns y, the gradients of A and B, and the gradient of x, all added to what was there.
      const auto products = [&](bool rounds) {
        Values down = randomValues(kWidth * kInputs, 3), up = randomValues(kUpRows * kRank, 4),
               gradDown = randomValues(kWidth * kInputs, 5), gradUp = randomValues(kUpRows * kRank, 6),
               y = randomValues(kRows * kOutputs, 7), gradX = randomValues(kRows * kInputs, 8);
        Values input = x, gradient = gradY, dropped(x.size()), reduced(kRows * kWidth), gradReduced = reduced,
               spread(kOutputs * kWidth), gradSpread = spread;
        std::vector<uint16_t> input16(x.size()), gradient16(gradY.size()), reduced16(reduced.size());
        const auto group = [&](Values& a, Values& b) {
          AdapterGroup result;
          result.down = Tensor(a.data(), {kWidth, kInputs});
          result.up = Tensor(b.data(), {kUpRows, kRank});
          result.blocks = {{0, 300}, {400, 200}};
          result.outputs = kOutputs;
          return result;
        };
        const auto flat = [](Values& values) {
          return Tensor(values.data(), {static_cast<int64_t>(values.size())});
        };
        AdapterScratch scratch;
        scratch.dropped = flat(dropped);
        scratch.reduced = flat(reduced);
        scratch.spread = flat(spread);
        scratch.gradReduced = flat(gradReduced);
        scratch.gradSpread = flat(gradSpread);
        AdapterInput given{Tensor(input.data(), {kRows, kInputs}), {}};
        Tensor gradOfY(gradient.data(), {kRows, kOutputs});
        const auto round = [&] {
          given.rounded = Tensor(input16.data(), DType::BFloat16, {kRows, kInputs});
          backend->convert(given.rounded, given.x);
        };
        if (rounds) {
          scratch.roundedReduced = Tensor(reduced16.data(), DType::BFloat16, {kRows * kWidth});
          const Tensor rounded(gradient16.data(), DType::BFloat16, {kRows, kOutputs});
          backend->convert(rounded, gradOfY);
          gradOfY = rounded;
          round();
        }
        const AdapterProducts adapter(*backend, allTargets(dropout), scratch);
        const AdapterGroup weights = group(down, up), gradients = group(gradDown, gradUp);
        adapter.forward(Tensor(y.data(), {kRows, kOutputs}), given, weights, mask);
        if (rounds) round();  // dropout has overwritten it
        adapter.backward(gradients, gradOfY, given, weights, mask);
        adapter.addInputGradient(Tensor(gradX.data(), {kRows, kInputs}), weights, mask);
        return std::vector<Values>{y, gradDown, gradUp, gradX};
      };
      const std::vector<Values> exact = products(false), rounded = products(true);
      for (size_t i = 0; i < exact.size(); ++i) {
        CAPTURE(i);
        const double difference = relativeDifference(rounded[i], exact[i]);
        CHECK(difference > 1e-4);       // operands were rounded
        CHECK(difference < 0.0078125);  // 2^-7, twice the largest error of one rounded operand
      }
    }
  }
}

TEST_CASE("adapter: beside bfloat16 weights recomputing gives the same gradient, with dropout as well") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    for (const NamedConfig& named : smallConfigs()) {
      CAPTURE(named.name);
      const TrainingBatch batch = policyBatch(named.config);
      for (const float dropout : {0.0f, 0.4f}) {
        CAPTURE(dropout);
        const auto gradient = [&](bool recompute) {
          ModelOptions options = withAdapter(allTargets(dropout));
          options.precision = DType::BFloat16;
          const auto learner = learnerFor(*backend, named.config, 61, recompute, options);
          learner->accumulate(batch, Aggregation::TokenMean, typicalLoss(), 12, true, nullptr);
          return values(learner->gradients().flat());
        };
        CHECK(gradient(false) == gradient(true));
      }
    }
  }
}

TEST_CASE("adapter: with dropout backward sees forward's masks, recomputed and split or not") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const ModelConfig config = smallConfigs().back().config;
    const TrainingBatch batch = policyBatch(config);
    const auto learner = adapted(*backend, config, 63, allTargets(0.4f));
    const GradientDisagreement worst = disagreement(*backend, *learner, batch);
    CAPTURE(worst.where);
    CHECK(worst.relative < 3e-3);

    const auto gradient = [&](bool recompute, int64_t budget) {
      const auto other = adapted(*backend, config, 63, allTargets(0.4f), recompute);
      other->accumulate(batch, Aggregation::TokenMean, typicalLoss(), budget, true, nullptr);
      return values(other->gradients().flat());
    };
    CHECK(gradient(false, 12) == gradient(true, 12));
    CHECK(relativeDifference(gradient(false, 12), gradient(false, 4096)) < 5e-6);
    const auto without = adapted(*backend, config, 63, allTargets());
    without->accumulate(batch, Aggregation::TokenMean, typicalLoss(), 12, true, nullptr);
    CHECK(relativeDifference(gradient(false, 12), values(without->gradients().flat())) > 0.1);
  }
}

TEST_CASE("adapter: training leaves the base alone, and every step draws other masks") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const ModelConfig config = smallConfigs().back().config;
    const TrainingBatch batch = policyBatch(config);
    const auto learner = adapted(*backend, config, 64, allTargets(0.4f));
    const std::vector<float> base = values(learner->parameters().flat());
    const std::vector<float> reference = logprobsOf(*learner, learner->model.reference(), batch);
    std::set<double> losses;
    OptimizerOptions still = typicalOptimizer();
    still.learningRate = 0;
    for (int step = 0; step < 3; ++step)
      losses.insert(learner->supervisedStep(batch, still, nullptr).sums.loss);
    CHECK(losses.size() == 3);
    OptimizerOptions options = typicalOptimizer();
    options.learningRate = 2e-2f;
    options.weightDecay = 0.1f;
    const std::vector<float> before = logprobsOf(*learner, learner->model.model(), batch);
    for (int step = 0; step < 30; ++step) learner->supervisedStep(batch, options, nullptr);
    CHECK(values(learner->parameters().flat()) == base);
    CHECK(logprobsOf(*learner, learner->model.reference(), batch) == reference);
    const std::vector<float> after = logprobsOf(*learner, learner->model.model(), batch);
    double gain = 0;
    for (size_t t = 0; t < after.size(); ++t) gain += batch.mask[t] * (after[t] - before[t]);
    CHECK(gain > 5);
  }
}

TEST_CASE("adapter: fresh, it changes nothing; merged, it is in the weights and comes out again") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const ModelConfig config = smallConfigs().back().config;
    const TrainingBatch batch = policyBatch(config);
    const auto learner = adapted(*backend, config, 65, allTargets());
    ModelWeights& model = learner->model;
    model.adapter()->initialize(3);
    CHECK(logprobsOf(*learner, model.model(), batch) == logprobsOf(*learner, model.reference(), batch));

    randomise(*model.adapter(), 66);
    const TemporaryFolder folder;
    const std::vector<float> base = values(model.weights().flat());
    const std::vector<float> expected = logprobsOf(*learner, model.model(), batch);
    saveWeights(model, folder.file("base"), {});
    model.merge();
    CHECK(contains(refusal([&] { model.merge(); }), "ERR_STATE"));
    CHECK(contains(refusal([&] { learner->supervisedStep(batch, typicalOptimizer(), nullptr); }),
                   "ERR_STATE unmerge"));
    CHECK(contains(refusal([&] { learner->loadWeights(folder.file("base")); }), "ERR_STATE unmerge"));
    saveWeights(model, folder.file("merged"), {});
    model.unmerge();
    CHECK(contains(refusal([&] { model.unmerge(); }), "ERR_STATE"));
    CHECK(values(model.weights().flat()) == base);

    OwningLearner plain(*backend, config);
    plain.loadWeights(folder.file("merged"));
    CHECK(relativeDifference(logprobsOf(plain, plain.model.model(), batch), expected) < 1e-5);
    plain.loadWeights(folder.file("base"));
    CHECK(values(plain.parameters().flat()) == base);
    CHECK(contains(refusal([&] { plain.model.merge(); }), "ERR_STATE this model has no adapter"));
  }
}

TEST_CASE("adapter: saved and loaded, training goes on bit for bit") {
  for (const auto& backend : allBackends()) {
    CAPTURE(backend->name());
    const ModelConfig config = smallConfigs().back().config;
    const TrainingBatch batch = policyBatch(config);
    const TemporaryFolder folder;
    const auto learner = adapted(*backend, config, 67, allTargets(0.2f));
    const auto resumed = adapted(*backend, config, 67, allTargets(0.2f));
    const auto steps = [&](OwningLearner& trained) {
      for (int step = 0; step < 3; ++step)
        trained.policyStep(batch, Aggregation::TokenMean, typicalLoss(), typicalOptimizer(), nullptr);
    };
    steps(*learner);
    saveAdapter(*learner->model.adapter(), folder.file("adapter"));
    learner->saveOptimizer(folder.file("optimizer"));
    loadAdapter(*resumed->model.adapter(), folder.file("adapter"));
    resumed->loadOptimizer(folder.file("optimizer"));
    steps(*learner);
    steps(*resumed);
    CHECK(values(learner->model.adapter()->flat()) == values(resumed->model.adapter()->flat()));

    OwningLearner full(*backend, config);
    CHECK(contains(refusal([&] { full.loadOptimizer(folder.file("optimizer")); }), "another shape"));
    AdapterOptions other = allTargets();
    other.rank = 2;
    const auto narrow = adapted(*backend, config, 68, other);
    CHECK(contains(refusal([&] { loadAdapter(*narrow->model.adapter(), folder.file("adapter")); }),
                   "but the model needs [2, "));
    const auto fewer = adapted(*backend, config, 68, only({TargetModule::Query}));
    CHECK(contains(refusal([&] { loadAdapter(*fewer->model.adapter(), folder.file("adapter")); }),
                   "tensors that the model does not have"));
  }
}
