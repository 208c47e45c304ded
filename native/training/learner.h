// One optimiser step over a whole batch: split into micro-batches by token budget, forward, fused loss,
// backward, clip, AdamW.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "model/transformer.h"

namespace hdpo {

// The sequences of one optimiser step. Token t of a sequence is predicted from token t - 1: mask[t] = 1
// trains token t (never the first of a sequence).
struct TrainingBatch {
  std::vector<int32_t> tokens;   // [N]
  std::vector<int32_t> offsets;  // [S + 1]
  std::vector<uint8_t> mask;     // [N]; 2: trained with excludedToken out of the distribution
  int32_t excludedToken = -1;    // supervised training only
  // Policy training only:
  std::vector<float> oldLogprobs;           // [N]
  std::vector<float> referenceLogprobs;     // [N] or empty
  std::vector<float> accuracyAdvantages;    // [S]
  std::vector<float> efficiencyAdvantages;  // [S]
};

struct OptimizerOptions {
  float learningRate = 1e-4f, beta1 = 0.9f, beta2 = 0.95f, epsilon = 1e-8f, weightDecay = 0;
  float maxGradientNorm = 1;  // 0: no clipping
  // A longer sequence makes a micro-batch of its own. Small enough for what passes between two ops to stay in
  // the last level of cache: 2048 trains 5% faster than 4096 at width 256, and holds half the activations.
  int64_t microBatchTokens = 2048;
};

struct StepResult {
  PolicyLossSums sums;
  double gradientNorm = 0;  // before clipping
  bool skipped = false;     // loss or gradient was not finite: weights and optimiser state untouched
  int64_t microBatches = 0;
  int64_t tokens = 0;  // all tokens of the batch, prompts too
  double meanEntropy = 0;
};

// A malformed batch: ERR_BATCH. `aborted` is looked at before each micro-batch: ERR_ABORTED, with weights,
// momentum, variance and step as they were. The scales of the loss are those of the whole step, so a split
// only changes the gradient's rounding.
class Learner {
 public:
  Learner(Backend& backend, const ModelConfig& config, bool recompute);

  Parameters& parameters() { return parameters_; }
  Parameters& gradients() { return gradients_; }

  StepResult policyStep(const TrainingBatch& batch, Aggregation aggregation, const PolicyLossOptions& loss,
                        const OptimizerOptions& optimizer, const std::atomic<bool>* aborted);
  // Mean negative logprob over masked tokens.
  StepResult supervisedStep(const TrainingBatch& batch, const OptimizerOptions& optimizer,
                            const std::atomic<bool>* aborted);
  // Gradient alone (=, not +=), left in gradients(): what tests and finite differences look at.
  PolicyLossSums accumulate(const TrainingBatch& batch, Aggregation aggregation,
                            const PolicyLossOptions& loss, int64_t microBatchTokens, bool supervised,
                            const std::atomic<bool>* aborted);
  // Logprob of every token given those before it (0 for each sequence's first) under `parameters`; the logits
  // never exist as a whole. entropies (of the distribution that token was predicted from) may be null. Both
  // [N], host memory.
  void logprobs(const Parameters& parameters, const std::vector<int32_t>& tokens,
                const std::vector<int32_t>& offsets, float temperature, int64_t microBatchTokens,
                float* logprobs, float* entropies, const std::atomic<bool>* aborted = nullptr);

  int64_t optimizerStep() const { return step_; }
  // model.safetensors holds the weights under Hugging Face names, optimizer.safetensors momentum, variance
  // and the step.
  void saveWeights(const std::string& path) const;
  // Missing, extra or misshapen tensors: ERR_CHECKPOINT naming them.
  void loadWeights(const std::string& path);
  void saveOptimizer(const std::string& path) const;
  void loadOptimizer(const std::string& path);

 private:
  struct Slice;

  StepResult step(const TrainingBatch& batch, Aggregation aggregation, const PolicyLossOptions& loss,
                  bool supervised, const OptimizerOptions& optimizer, const std::atomic<bool>* aborted);
  PolicyLossSums accumulateSlice(const TrainingBatch& batch, const Slice& slice,
                                 const std::vector<TokenTerms>& terms, const PolicyLossOptions& loss);
  void update(const OptimizerOptions& optimizer, float gradientScale);
  static std::vector<Slice> split(const std::vector<int32_t>& offsets, int64_t microBatchTokens);
  void stopIfAborted(const std::atomic<bool>* aborted);

  Backend& backend_;
  ModelConfig config_;
  Parameters parameters_, gradients_, momentum_, variance_;
  Transformer transformer_;
  Buffer predictors_, gradPredictors_, gradHidden_;  // [M, D], [M, D], [N, D] of one micro-batch
  int64_t step_ = 0;
};

}  // namespace hdpo
