// One optimiser step over a whole batch: split it into micro-batches by token budget, forward, fused loss,
// backward, clip, AdamW.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "training/model_weights.h"
#include "training/training_batch.h"

namespace hdpo {

// Has no defaults: lib/native/optimizer-options.ts has them.
struct OptimizerOptions {
  float learningRate = 0, beta1 = 0, beta2 = 0, epsilon = 0, weightDecay = 0;
  float maxGradientNorm = 0;  // 0: no clipping
  // A longer sequence makes a micro-batch of its own. Without a value, Backend::defaults decides.
  std::optional<int64_t> microBatchTokens;
};

// Sums over the sequences that have a gradient.
struct AccumulatedLoss : PolicyLossSums {
  int64_t trainedTokens = 0;  // in the whole batch's mask
  int64_t microBatches = 0;
};

struct StepResult {
  AccumulatedLoss sums;
  double gradientNorm = 0;  // before clipping
  bool skipped = false;     // loss or gradient was not finite; weights and optimiser state are untouched
  int64_t tokens = 0;       // all tokens of the batch, prompts too
  double meanEntropy = 0;   // over sums.tokens; 0 where there are none
};

// Runs optimiser steps. A malformed batch throws ERR_BATCH. `aborted` is looked at before each micro-batch
// and ends the step with ERR_ABORTED, which leaves weights, momentum, variance and step as they were. The
// scales of the loss are those of the whole step, so splitting it changes only the gradient's rounding.
// Sequences whose loss has no gradient are not computed (sequencesWithGradient): they are in no sum and no
// micro-batch.
//
// Gradients and optimiser state are allocated when they are first needed. The memory that is left is checked
// before anything is computed: ERR_MEMORY names what to change.
class Learner {
 public:
  // seed: for the dropout masks.
  Learner(Backend& backend, ModelWeights& model, bool recompute, uint64_t seed = 0);

  StepResult policyStep(const TrainingBatch& batch, Aggregation aggregation, const PolicyLossOptions& loss,
                        const OptimizerOptions& optimizer, const std::atomic<bool>* aborted);
  // The loss is the mean negative logprob over masked tokens.
  StepResult supervisedStep(const TrainingBatch& batch, const OptimizerOptions& optimizer,
                            const std::atomic<bool>* aborted);
  // Computes the gradient alone (=, not +=) and leaves it in gradients(), for tests and finite differences.
  ParameterSet& gradients();
  AccumulatedLoss accumulate(const TrainingBatch& batch, Aggregation aggregation,
                             const PolicyLossOptions& loss, int64_t microBatchTokens, bool supervised,
                             const std::atomic<bool>* aborted);
  // Logprob under `model` of every token given those before it (0 for each sequence's first). The logits
  // never exist as a whole. entropies, of the distribution that each token was predicted from, may be null.
  // Both are [N] in host memory.
  void logprobs(const Model& model, const std::vector<int32_t>& tokens, const std::vector<int32_t>& offsets,
                float temperature, int64_t microBatchTokens, float* logprobs, float* entropies,
                const std::atomic<bool>* aborted = nullptr);

  int64_t optimizerStep() const { return step_; }
  // Saves momentum, variance and the step.
  void saveOptimizer(const std::string& path);
  void loadOptimizer(const std::string& path);

 private:
  struct Slice;

  StepResult step(const TrainingBatch& batch, Aggregation aggregation, const PolicyLossOptions& loss,
                  bool supervised, const OptimizerOptions& optimizer, const std::atomic<bool>* aborted);
  PolicyLossSums accumulateSlice(const LossSequences& sequences, const Slice& slice,
                                 const PolicyLossOptions& loss);
  void update(const OptimizerOptions& optimizer, float gradientScale);
  static std::vector<Slice> split(const std::vector<int32_t>& offsets, int64_t microBatchTokens);
  void stopIfAborted(const std::atomic<bool>* aborted);
  void requireTrainingMemory(const std::vector<Slice>& slices);
  void allocateGradients();
  void allocateMoments();

  Backend& backend_;
  ModelWeights& model_;
  const bool recompute_;
  const uint64_t seed_;
  Transformer transformer_;
  // Gradients of what is trained: the weights or the adapter.
  std::optional<Parameters> weightGradients_;
  std::optional<Adapter> adapterGradients_;
  std::optional<ParameterSet> momentum_, variance_;
  Buffer predictors_, gradPredictors_, gradHidden_;  // [M, D], [M, D], [N, D] A of one micro-batch
  int64_t checkedTokens_ = 0;                        // the largest micro-batch for which memory was found
  int64_t step_ = 0;
};

}  // namespace hdpo
