// Generation with continuous batching: sequences are handles; each step() decodes one token for every
// sequence that is sampling. Used from the engine thread alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/adapter.h"
#include "model/parameters.h"

namespace hdpo {

using SequenceId = int64_t;

struct GenerationOptions {
  // Options without a value take that of Backend::defaults.
  std::optional<size_t> kvBudgetBytes;          // at least one block per layer; sequences beyond it wait
  std::optional<int64_t> maxBatchRows;          // rows (tokens) of one step, prefill included
  PackedFormat format = PackedFormat::Float32;  // how the weights are read
  const Adapter* adapter = nullptr;             // added to the weights; outlives the generator
  // Type of cached keys and values; BFloat16 takes half the memory. Where the decoder computes them in
  // bfloat16, they are cached as such, because float32 would hold the same values.
  DType kvPrecision = DType::Float32;
  // Ids that are no tokens, because the vocabulary is padded or has gaps: never sampled. Their logits count in the
  // logprobs, as they do in training.
  std::vector<int32_t> absentTokens = {};
};

// Has no defaults: lib/native/sampling-options.ts has them.
struct SamplingOptions {
  int64_t maxTokens = 0;
  float temperature = 0;  // 0: greedy
  float topP = 0, minP = 0;
  int32_t topK = 0;   // 0: off
  uint64_t seed = 0;  // draws are a function of (seed, position of the token in the sequence)
  std::vector<int32_t> stopTokens;
  std::vector<std::string> stopStrings;              // matched on decoded bytes across token boundaries
  std::vector<std::pair<int32_t, float>> logitBias;  // -infinity bans a token
};

enum class FinishReason : uint8_t { StopToken, StopString, Length, Aborted };

struct SampleResult {
  std::vector<int32_t> tokens;  // sampled now, the stop token included
  // Logprobs of the model at the sampling temperature (at 1 where it is 0) over the whole vocabulary, before
  // top-k/top-p/min-p and bias, so that they equal those of the training forward.
  std::vector<float> logprobs;
  FinishReason reason = FinishReason::Length;
  int32_t stopToken = -1;
  int32_t stopString = -1;  // index into stopStrings
};

struct GenerationStats {
  uint64_t steps = 0, rows = 0, sampledTokens = 0, prefillTokens = 0, evictions = 0;
  double seconds = 0;
  size_t kvBytesUsed = 0, kvBytesBudget = 0;
  int64_t live = 0, sampling = 0, waiting = 0;
};

class Generator {
 public:
  // Bytes that its steps need: activations, sampled rows, logits.
  static size_t workspaceBytes(Backend& backend, const ModelConfig& config, const AdapterOptions* adapter,
                               const GenerationOptions& options);

  // tokenBytes[v]: the bytes that token v decodes to (empty for special tokens), for stop strings. It may be
  // empty: stop strings are then refused.
  Generator(Backend& backend, const Parameters& parameters, const GenerationOptions& options,
            std::vector<std::string> tokenBytes);
  ~Generator();

  // To be called when the weights (or only the adapter) have changed: repacks them before the next step and
  // drops every cached key and value, which are recomputed on demand.
  void weightsChanged();
  void adapterChanged();
  // A merged adapter is packed with the weights instead of beside them. The model is the same except for
  // rounding.
  void setMerged(bool merged);

  // Makes a new sequence; nothing is computed until it is sampled or prefilled. Throws ERR_ARGUMENT for no
  // tokens, tokens outside the vocabulary or more than config.maxPositions, and ERR_SEQUENCE for an id in
  // use. The methods below throw ERR_SEQUENCE for an unknown id.
  void create(SequenceId id, std::vector<int32_t> tokens);
  void fork(SequenceId id, SequenceId parent);                     // shares the cached prefix, copy on write
  void append(SequenceId id, const std::vector<int32_t>& tokens);  // ERR_BUSY, or ERR_ARGUMENT as create
  void release(SequenceId id);                                     // aborts first where it is sampling

  // Computes keys and values of all but the last token; `done` is called from step().
  void prefill(SequenceId id, std::function<void(std::exception_ptr)> done);
  // A sequence has at most one outstanding sample or prefill (ERR_BUSY otherwise). Afterwards the sampled
  // tokens are part of the sequence. The call refuses tokens that could never be cached together
  // (ERR_KV_BUDGET) and wrong options (ERR_ARGUMENT, naming the option). A sample that reaches
  // config.maxPositions or the whole budget ends with Length, in the call itself where it is there already. A
  // logit that is not finite ends the sample with ERR_NON_FINITE, a bias that bans every token with
  // ERR_ARGUMENT; the sequence is then left as it was before the call, and the others go on.
  void sample(SequenceId id, SamplingOptions options,
              std::function<void(std::exception_ptr, SampleResult)> done);
  // Ends the sequence's sample with what it has (reason Aborted), or its prefill with ERR_ABORTED. Does
  // nothing where there is neither.
  void abort(SequenceId id);

  bool hasWork() const;
  // Runs one batched forward over what is waiting. Callbacks run at the end of it, before it returns; they
  // may call this object.
  void step();
  GenerationStats stats() const;
  const std::vector<int32_t>& tokens(SequenceId id) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hdpo
