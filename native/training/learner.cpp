#include "training/learner.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "training/memory.h"
#include "training/memory_plan.h"
#include "training/optimizer_file.h"

namespace hdpo {

// Consecutive whole sequences of a batch: one micro-batch.
struct Learner::Slice {
  int64_t firstToken = 0, tokenCount = 0;
  std::vector<int32_t> offsets;  // from 0
};

namespace {

void addSums(PolicyLossSums& total, const PolicyLossSums& part) {
  total.loss += part.loss;
  total.accuracyLoss += part.accuracyLoss;
  total.efficiencyLoss += part.efficiencyLoss;
  total.kl += part.kl;
  total.supervisedLoss += part.supervisedLoss;
  total.entropy += part.entropy;
  // std::max would not do: it may drop a NaN.
  const bool larger = part.logprobDifference > total.logprobDifference || std::isnan(part.logprobDifference);
  if (larger) total.logprobDifference = part.logprobDifference;
  total.tokens += part.tokens;
  total.clippedLow += part.clippedLow;
  total.clippedHigh += part.clippedHigh;
  total.dualClipped += part.dualClipped;
  total.workspaceBytes = std::max(total.workspaceBytes, part.workspaceBytes);
}

}  // namespace

Learner::Learner(Backend& backend, ModelWeights& model, bool recompute, uint64_t seed)
    : backend_(backend),
      model_(model),
      recompute_(recompute),
      seed_(seed),
      transformer_(backend, model.config(), recompute) {}

// --- Memory ---

ParameterSet& Learner::gradients() {
  allocateGradients();
  if (adapterGradients_) return *adapterGradients_;
  return *weightGradients_;
}

void Learner::allocateGradients() {
  if (weightGradients_ || adapterGradients_) return;
  model_.trained();  // throws where nothing is trained
  if (model_.adapter()) {
    adapterGradients_.emplace(backend_, model_.config(), model_.adapter()->options());
  } else {
    weightGradients_.emplace(backend_, model_.config());
  }
}

void Learner::allocateMoments() {
  if (momentum_) return;
  const std::vector<ParameterEntry>& entries = model_.trained().entries();
  momentum_.emplace(backend_, entries, DType::Float32);
  variance_.emplace(backend_, entries, DType::Float32);
}

void Learner::requireTrainingMemory(const std::vector<Slice>& slices) {
  int64_t tokens = 0;
  for (const Slice& slice : slices) tokens = std::max(tokens, slice.tokenCount);
  if (tokens <= checkedTokens_) return;
  const MemoryPlan plan = planModel(model_.config(), model_.options());
  const size_t held =
      transformer_.activationBytes() + predictors_.bytes() + gradPredictors_.bytes() + gradHidden_.bytes();
  const size_t activations =
      trainingActivationBytes(backend_, model_.config(), model_.options(), recompute_, tokens);
  size_t needed = activations - std::min(activations, held);
  if (!weightGradients_ && !adapterGradients_) needed += plan.gradients;
  if (!momentum_) needed += plan.optimizer;
  requireMemory(
      backend_, needed,
      "a training step with micro-batches of " + std::to_string(tokens) + " tokens (activations " +
          describeBytes(activations) + ", gradients " + describeBytes(plan.gradients) + ", optimiser state " +
          describeBytes(plan.optimizer) + ")",
      std::string("lower microBatchTokens") +
          (slices.size() == 1 || tokens > slices[0].tokenCount ? " or the length of sequences" : "") +
          (recompute_ ? "" : ", set recompute: true") +
          (model_.adapter() ? "" : ", or train a LoRA adapter (lora)"));
  checkedTokens_ = tokens;
}

// --- Steps ---

StepResult Learner::policyStep(const TrainingBatch& batch, Aggregation aggregation,
                               const PolicyLossOptions& loss, const OptimizerOptions& optimizer,
                               const std::atomic<bool>* aborted) {
  return step(batch, aggregation, loss, false, optimizer, aborted);
}

StepResult Learner::supervisedStep(const TrainingBatch& batch, const OptimizerOptions& optimizer,
                                   const std::atomic<bool>* aborted) {
  return step(batch, Aggregation::TokenMean, {.temperature = 1}, true, optimizer, aborted);
}

StepResult Learner::step(const TrainingBatch& batch, Aggregation aggregation, const PolicyLossOptions& loss,
                         bool supervised, const OptimizerOptions& optimizer,
                         const std::atomic<bool>* aborted) {
  require(!model_.merged(), "ERR_STATE", "unmerge the adapter before it is trained further");
  StepResult result;
  result.sums = accumulate(batch, aggregation, loss,
                           optimizer.microBatchTokens.value_or(backend_.defaults().microBatchTokens),
                           supervised, aborted);
  result.tokens = static_cast<int64_t>(batch.tokens.size());
  if (result.sums.tokens > 0)
    result.meanEntropy = result.sums.entropy / static_cast<double>(result.sums.tokens);
  result.gradientNorm = std::sqrt(backend_.sumOfSquares(gradients().flat()));
  result.skipped = !std::isfinite(result.sums.loss) || !std::isfinite(result.gradientNorm);
  if (result.skipped) {
    gradients().zero();
    return result;
  }
  const bool clip = optimizer.maxGradientNorm > 0 && result.gradientNorm > optimizer.maxGradientNorm;
  update(optimizer, clip ? static_cast<float>(optimizer.maxGradientNorm / result.gradientNorm) : 1.0f);
  return result;
}

AccumulatedLoss Learner::accumulate(const TrainingBatch& batch, Aggregation aggregation,
                                    const PolicyLossOptions& loss, int64_t microBatchTokens, bool supervised,
                                    const std::atomic<bool>* aborted) {
  checkOffsets(batch.offsets, batch.tokens.size());
  AccumulatedLoss result;
  result.trainedTokens = checkMask(batch);
  const LossSequences sequences = sequencesWithGradient(
      batch,
      supervised ? supervisedTerms(batch, result.trainedTokens) : policyTermsOf(batch, aggregation, loss),
      loss);
  model_.trained();  // throws where nothing is trained
  // The check is over the whole batch, because whether memory suffices must not depend on how many rollouts
  // agree.
  requireTrainingMemory(split(batch.offsets, microBatchTokens));
  gradients().zero();
  for (const Slice& slice : split(sequences.offsets, microBatchTokens)) {
    stopIfAborted(aborted);
    addSums(result, accumulateSlice(sequences, slice, loss));
    result.microBatches += 1;
  }
  return result;
}

// Only rows that predict a trained token go through the last projection: row t - 1 for a trained token t.
PolicyLossSums Learner::accumulateSlice(const LossSequences& sequences, const Slice& slice,
                                        const PolicyLossOptions& loss) {
  std::vector<int32_t> rows, targets;
  std::vector<TokenTerms> rowTerms;
  for (int64_t t = slice.firstToken; t < slice.firstToken + slice.tokenCount; ++t) {
    if (!sequences.mask[t]) continue;
    rows.push_back(static_cast<int32_t>(t - 1 - slice.firstToken));
    targets.push_back(sequences.tokens[t]);
    rowTerms.push_back(sequences.terms[t]);
  }
  if (rows.empty()) return {};

  const PackedBatch packed{slice.tokenCount, static_cast<int64_t>(slice.offsets.size()) - 1,
                           sequences.tokens.data() + slice.firstToken, slice.offsets.data()};
  const float probability = model_.adapter() ? model_.adapter()->options().dropout : 0;
  const Model model = model_.model({probability, seed_, static_cast<uint64_t>(step_), slice.firstToken});
  const ModelGradients gradients(weightGradients_ ? &*weightGradients_ : nullptr,
                                 adapterGradients_ ? &*adapterGradients_ : nullptr);
  const Tensor hidden = transformer_.forward(model, packed, true);
  const auto like = [&](Buffer& buffer, int64_t count) {
    return buffer.holding(backend_, Tensor(nullptr, hidden.dtype, {count, hidden.shape[1]}));
  };
  const auto predictions = static_cast<int64_t>(rows.size());
  const Tensor predictors = like(predictors_, predictions),
               gradPredictors = like(gradPredictors_, predictions);
  const Tensor gradHidden = like(gradHidden_, slice.tokenCount);
  backend_.gatherRows(predictors, hidden, rows.data());
  std::vector<float> logprobs(rows.size()), entropies(rows.size());
  LinearLossInput input;
  input.workspaceLimit = backend_.linearLossWorkspace();
  input.hidden = predictors;
  input.weight = model.weights.head;
  input.targets = targets.data();
  input.terms = rowTerms.data();
  input.options = loss;
  const PolicyLossSums sums =
      backend_.linearLoss(input, {logprobs.data(), entropies.data(), gradPredictors,
                                  gradients.weights ? gradients.weights->head : Tensor()});
  backend_.scatterRows(gradHidden, gradPredictors, rows.data());
  transformer_.backward(model, gradients, packed, gradHidden);
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
  allocateMoments();
  ParameterSet& trained = model_.trained();
  const Tensor gradient = gradients().flat();
  for (const ParameterEntry& entry : trained.entries()) {
    const auto part = [&entry](const Tensor& flat) {
      return flat.rows(entry.offset, entry.offset + entry.count);
    };
    options.weightDecay = entry.decays ? optimizer.weightDecay : 0;
    backend_.adamW(part(trained.flat()), part(gradient), part(momentum_->flat()), part(variance_->flat()),
                   options);
  }
  model_.trainedChanged();
}

void Learner::logprobs(const Model& model, const std::vector<int32_t>& tokens,
                       const std::vector<int32_t>& offsets, float temperature, int64_t microBatchTokens,
                       float* logprobs, float* entropies, const std::atomic<bool>* aborted) {
  checkOffsets(offsets, tokens.size());
  LinearLossInput input;
  input.workspaceLimit = backend_.linearLossWorkspace();
  input.weight = model.weights.head;
  input.options.temperature = temperature;
  for (const Slice& slice : split(offsets, microBatchTokens)) {
    stopIfAborted(aborted);
    const PackedBatch packed{slice.tokenCount, static_cast<int64_t>(slice.offsets.size()) - 1,
                             tokens.data() + slice.firstToken, slice.offsets.data()};
    // Every row predicts its successor. A sequence's last row has none: its target is arbitrary, and its
    // result is dropped.
    std::vector<int32_t> targets(packed.tokens + 1, packed.tokens + slice.tokenCount);
    targets.push_back(0);
    const std::vector<TokenTerms> terms(targets.size());
    std::vector<float> rowLogprobs(targets.size()), rowEntropies(targets.size());
    input.hidden = transformer_.forward(model, packed, false);
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

// Fills each micro-batch in the order of the sequences. A sequence that is longer than the budget stands
// alone.
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
  if (weightGradients_ || adapterGradients_) gradients().zero();
  throw Error("ERR_ABORTED", "aborted between micro-batches; nothing was changed");
}

void Learner::saveOptimizer(const std::string& path) {
  allocateMoments();
  hdpo::saveOptimizer(*momentum_, *variance_, step_, path);
}

void Learner::loadOptimizer(const std::string& path) {
  allocateMoments();
  step_ = hdpo::loadOptimizer(*momentum_, *variance_, path);
}

}  // namespace hdpo
