#include "training/learner.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "training/checkpoint.h"

namespace hdpo {

// Consecutive whole sequences of a batch: one micro-batch.
struct Learner::Slice {
  int64_t firstToken = 0, tokenCount = 0;
  std::vector<int32_t> offsets;  // from 0
};

namespace {

void checkOffsets(const std::vector<int32_t>& offsets, size_t tokenCount) {
  require(offsets.size() >= 2 && offsets.front() == 0 && static_cast<size_t>(offsets.back()) == tokenCount,
          "ERR_BATCH",
          "offsets must begin at 0 and end at the number of tokens, " + std::to_string(tokenCount));
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    require(offsets[s] < offsets[s + 1], "ERR_BATCH",
            "sequence " + std::to_string(s) + " is empty or its offsets run backwards");
  }
}

void checkLength(const char* name, size_t given, size_t needed) {
  require(
      given == needed, "ERR_BATCH",
      std::string(name) + " has " + std::to_string(given) + " values, but needs " + std::to_string(needed));
}

// Returns the number of trained tokens.
int64_t checkMask(const TrainingBatch& batch) {
  checkLength("mask", batch.mask.size(), batch.tokens.size());
  int64_t trained = 0;
  for (size_t i = 0; i < batch.mask.size(); ++i) {
    require(batch.mask[i] <= (batch.excludedToken >= 0 ? 2 : 1), "ERR_BATCH",
            "mask must hold 0 or 1, and 2 only with an excludedToken, but mask[" + std::to_string(i) +
                "] is " + std::to_string(batch.mask[i]));
    require(batch.mask[i] != 2 || batch.tokens[i] != batch.excludedToken, "ERR_BATCH",
            "token " + std::to_string(i) + " is the excludedToken and cannot be trained without it");
    trained += batch.mask[i] != 0;
  }
  require(trained > 0, "ERR_BATCH", "no token of the batch is trained: its mask is all 0");
  for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
    require(batch.mask[batch.offsets[s]] == 0, "ERR_BATCH",
            "the first token of sequence " + std::to_string(s) +
                " has no token to be predicted from; its mask must be 0");
  }
  return trained;
}

std::vector<TokenTerms> supervisedTerms(const TrainingBatch& batch, int64_t trained) {
  TokenTerms terms;
  terms.supervisedScale = static_cast<float>(1.0 / static_cast<double>(trained));
  std::vector<TokenTerms> all(batch.tokens.size(), terms);
  for (size_t i = 0; i < all.size(); ++i) {
    if (batch.mask[i] == 2) all[i].excludedToken = batch.excludedToken;
  }
  return all;
}

std::vector<TokenTerms> checkedPolicyTerms(const TrainingBatch& batch, Aggregation aggregation,
                                           const PolicyLossOptions& loss) {
  const size_t tokens = batch.tokens.size(), sequences = batch.offsets.size() - 1;
  checkLength("oldLogprobs", batch.oldLogprobs.size(), tokens);
  checkLength("accuracyAdvantages", batch.accuracyAdvantages.size(), sequences);
  checkLength("efficiencyAdvantages", batch.efficiencyAdvantages.size(), sequences);
  const bool reference = !batch.referenceLogprobs.empty();
  if (reference) checkLength("referenceLogprobs", batch.referenceLogprobs.size(), tokens);
  require(reference || loss.klCoefficient == 0, "ERR_BATCH",
          "a klCoefficient other than 0 needs referenceLogprobs");

  return policyTerms(aggregation,
                     {static_cast<int64_t>(sequences), batch.offsets.data(), batch.mask.data(),
                      batch.oldLogprobs.data(), reference ? batch.referenceLogprobs.data() : nullptr,
                      batch.accuracyAdvantages.data(), batch.efficiencyAdvantages.data()});
}

void addSums(PolicyLossSums& total, const PolicyLossSums& part) {
  total.loss += part.loss;
  total.accuracyLoss += part.accuracyLoss;
  total.efficiencyLoss += part.efficiencyLoss;
  total.kl += part.kl;
  total.supervisedLoss += part.supervisedLoss;
  total.entropy += part.entropy;
  // Not std::max, which may drop a NaN.
  const bool larger = part.logprobDifference > total.logprobDifference || std::isnan(part.logprobDifference);
  if (larger) total.logprobDifference = part.logprobDifference;
  total.tokens += part.tokens;
  total.clippedLow += part.clippedLow;
  total.clippedHigh += part.clippedHigh;
  total.dualClipped += part.dualClipped;
  total.workspaceBytes = std::max(total.workspaceBytes, part.workspaceBytes);
}

}  // namespace

Learner::Learner(Backend& backend, const ModelConfig& config, bool recompute)
    : backend_(backend),
      config_(config),
      parameters_(backend, config),
      gradients_(backend, config),
      momentum_(backend, config),
      variance_(backend, config),
      transformer_(backend, config, recompute) {}

StepResult Learner::policyStep(const TrainingBatch& batch, Aggregation aggregation,
                               const PolicyLossOptions& loss, const OptimizerOptions& optimizer,
                               const std::atomic<bool>* aborted) {
  return step(batch, aggregation, loss, false, optimizer, aborted);
}

StepResult Learner::supervisedStep(const TrainingBatch& batch, const OptimizerOptions& optimizer,
                                   const std::atomic<bool>* aborted) {
  return step(batch, Aggregation::TokenMean, PolicyLossOptions(), true, optimizer, aborted);
}

StepResult Learner::step(const TrainingBatch& batch, Aggregation aggregation, const PolicyLossOptions& loss,
                         bool supervised, const OptimizerOptions& optimizer,
                         const std::atomic<bool>* aborted) {
  StepResult result;
  result.sums = accumulate(batch, aggregation, loss, optimizer.microBatchTokens, supervised, aborted);
  result.tokens = static_cast<int64_t>(batch.tokens.size());
  result.microBatches = static_cast<int64_t>(split(batch.offsets, optimizer.microBatchTokens).size());
  result.meanEntropy = result.sums.entropy / static_cast<double>(result.sums.tokens);
  result.gradientNorm = std::sqrt(backend_.sumOfSquares(gradients_.flat()));
  result.skipped = !std::isfinite(result.sums.loss) || !std::isfinite(result.gradientNorm);
  if (result.skipped) {
    gradients_.zero();
    return result;
  }
  const bool clip = optimizer.maxGradientNorm > 0 && result.gradientNorm > optimizer.maxGradientNorm;
  update(optimizer, clip ? static_cast<float>(optimizer.maxGradientNorm / result.gradientNorm) : 1.0f);
  return result;
}

PolicyLossSums Learner::accumulate(const TrainingBatch& batch, Aggregation aggregation,
                                   const PolicyLossOptions& loss, int64_t microBatchTokens, bool supervised,
                                   const std::atomic<bool>* aborted) {
  checkOffsets(batch.offsets, batch.tokens.size());
  const int64_t trained = checkMask(batch);
  const std::vector<TokenTerms> terms =
      supervised ? supervisedTerms(batch, trained) : checkedPolicyTerms(batch, aggregation, loss);
  gradients_.zero();
  PolicyLossSums total;
  for (const Slice& slice : split(batch.offsets, microBatchTokens)) {
    stopIfAborted(aborted);
    addSums(total, accumulateSlice(batch, slice, terms, loss));
  }
  return total;
}

// Only rows that predict a trained token go through the last projection: row t - 1 for a trained token t.
PolicyLossSums Learner::accumulateSlice(const TrainingBatch& batch, const Slice& slice,
                                        const std::vector<TokenTerms>& terms, const PolicyLossOptions& loss) {
  std::vector<int32_t> rows, targets;
  std::vector<TokenTerms> rowTerms;
  for (int64_t t = slice.firstToken; t < slice.firstToken + slice.tokenCount; ++t) {
    if (!batch.mask[t]) continue;
    rows.push_back(static_cast<int32_t>(t - 1 - slice.firstToken));
    targets.push_back(batch.tokens[t]);
    rowTerms.push_back(terms[t]);
  }
  if (rows.empty()) return {};

  const int64_t predictions = static_cast<int64_t>(rows.size()), width = config_.hiddenSize;
  const size_t rowBytes = static_cast<size_t>(width) * sizeof(float);
  predictors_.reserve(backend_, rows.size() * rowBytes);
  gradPredictors_.reserve(backend_, rows.size() * rowBytes);
  gradHidden_.reserve(backend_, static_cast<size_t>(slice.tokenCount) * rowBytes);
  const Tensor predictors(predictors_.f32(), {predictions, width});
  const Tensor gradPredictors(gradPredictors_.f32(), {predictions, width});
  const Tensor gradHidden(gradHidden_.f32(), {slice.tokenCount, width});

  const PackedBatch packed{slice.tokenCount, static_cast<int64_t>(slice.offsets.size()) - 1,
                           batch.tokens.data() + slice.firstToken, slice.offsets.data()};
  const Tensor hidden = transformer_.forward(parameters_, packed, true);
  backend_.gatherRows(predictors, hidden, rows.data());
  std::vector<float> logprobs(rows.size()), entropies(rows.size());
  LinearLossInput input;
  input.hidden = predictors;
  input.weight = parameters_.head;
  input.targets = targets.data();
  input.terms = rowTerms.data();
  input.options = loss;
  const PolicyLossSums sums =
      backend_.linearLoss(input, {logprobs.data(), entropies.data(), gradPredictors, gradients_.head});
  backend_.scatterRows(gradHidden, gradPredictors, rows.data());
  transformer_.backward(parameters_, gradients_, packed, gradHidden);
  return sums;
}

// Decoupled weight decay applies to matrices only.
void Learner::update(const OptimizerOptions& optimizer, float gradientScale) {
  AdamWOptions options;
  options.learningRate = optimizer.learningRate;
  options.beta1 = optimizer.beta1;
  options.beta2 = optimizer.beta2;
  options.epsilon = optimizer.epsilon;
  options.gradientScale = gradientScale;
  options.step = ++step_;
  for (const ParameterEntry& entry : parameters_.entries()) {
    const auto flat = [&entry](const Parameters& values) {
      return values.flat().rows(entry.offset, entry.offset + entry.count);
    };
    options.weightDecay = entry.decays ? optimizer.weightDecay : 0;
    backend_.adamW(flat(parameters_), flat(gradients_), flat(momentum_), flat(variance_), options);
  }
}

void Learner::logprobs(const Parameters& parameters, const std::vector<int32_t>& tokens,
                       const std::vector<int32_t>& offsets, float temperature, int64_t microBatchTokens,
                       float* logprobs, float* entropies, const std::atomic<bool>* aborted) {
  checkOffsets(offsets, tokens.size());
  LinearLossInput input;
  input.weight = parameters.head;
  input.options.temperature = temperature;
  for (const Slice& slice : split(offsets, microBatchTokens)) {
    stopIfAborted(aborted);
    const PackedBatch packed{slice.tokenCount, static_cast<int64_t>(slice.offsets.size()) - 1,
                             tokens.data() + slice.firstToken, slice.offsets.data()};
    // Every row predicts its successor. A sequence's last row has none: its target is arbitrary and its
    // result dropped.
    std::vector<int32_t> targets(packed.tokens + 1, packed.tokens + slice.tokenCount);
    targets.push_back(0);
    const std::vector<TokenTerms> terms(targets.size());
    std::vector<float> rowLogprobs(targets.size()), rowEntropies(targets.size());
    input.hidden = transformer_.forward(parameters, packed, false);
    input.targets = targets.data();
    input.terms = terms.data();
    backend_.linearLoss(input, {rowLogprobs.data(), rowEntropies.data(), Tensor(), Tensor()});
    for (size_t s = 0; s + 1 < slice.offsets.size(); ++s) {
      for (int32_t t = slice.offsets[s]; t < slice.offsets[s + 1]; ++t) {
        const bool first = t == slice.offsets[s];
        logprobs[slice.firstToken + t] = first ? 0 : rowLogprobs[t - 1];
        if (entropies) entropies[slice.firstToken + t] = first ? 0 : rowEntropies[t - 1];
      }
    }
  }
}

// Fills each micro-batch in the order of the sequences; one that is longer than the budget stands alone.
std::vector<Learner::Slice> Learner::split(const std::vector<int32_t>& offsets, int64_t microBatchTokens) {
  require(microBatchTokens >= 1, "ERR_ARGUMENT",
          "microBatchTokens must be at least 1, but is " + std::to_string(microBatchTokens));
  std::vector<Slice> slices;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t length = int64_t{offsets[s + 1]} - offsets[s];
    if (slices.empty() || slices.back().tokenCount + length > microBatchTokens) {
      slices.push_back({offsets[s], 0, {0}});
    }
    slices.back().tokenCount += length;
    slices.back().offsets.push_back(static_cast<int32_t>(slices.back().tokenCount));
  }
  return slices;
}

void Learner::stopIfAborted(const std::atomic<bool>* aborted) {
  if (!aborted || !aborted->load()) return;
  gradients_.zero();
  throw Error("ERR_ABORTED", "aborted between micro-batches; nothing was changed");
}

void Learner::saveWeights(const std::string& path) const { hdpo::saveWeights(backend_, parameters_, path); }
void Learner::loadWeights(const std::string& path) { hdpo::loadWeights(backend_, parameters_, path); }
void Learner::saveOptimizer(const std::string& path) const {
  hdpo::saveOptimizer(backend_, momentum_, variance_, step_, path);
}
void Learner::loadOptimizer(const std::string& path) {
  step_ = hdpo::loadOptimizer(backend_, momentum_, variance_, path);
}

}  // namespace hdpo
