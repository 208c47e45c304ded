#include "generation/generator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"
#include "generation/decoder.h"
#include "generation/sampler.h"
#include "generation/scheduler.h"

namespace hdpo {

namespace {

// Bytes of logits per call of the head projection, at most (but at least one row).
constexpr int64_t kLogitsBytes = int64_t{16} << 20;

int64_t rowsOfLogits(const ModelConfig& config) {
  return std::max<int64_t>(1, kLogitsBytes / static_cast<int64_t>(sizeof(float)) / config.vocabSize);
}

std::exception_ptr errorOf(const char* code, const std::string& message) {
  return std::make_exception_ptr(Error(code, message));
}

}  // namespace

struct Generator::Impl {
  Impl(Backend& device, const Parameters& weights, const GenerationOptions& options,
       std::vector<std::string> bytesOfTokens)
      : backend(device),
        config(weights.config()),
        tokenBytes(std::move(bytesOfTokens)),
        absent(static_cast<size_t>(config.vocabSize)),
        cache(device, config, options.kvBudgetBytes.value_or(device.defaults().kvBudgetBytes),
              Decoder::cachePrecision(device, options.format, options.kvPrecision)),
        decoder(device, weights, options.adapter, options.format),
        scheduler(cache, options.maxBatchRows.value_or(device.defaults().maxBatchRows)) {
    for (const int32_t token : options.absentTokens) {
      require(token >= 0 && token < config.vocabSize, "ERR_ARGUMENT",
              "absentTokens holds " + std::to_string(token) +
                  ", which is not below the vocabulary's size of " + std::to_string(config.vocabSize));
      absent[static_cast<size_t>(token)] = true;
      absentBans.emplace_back(token, -std::numeric_limits<float>::infinity());
    }
  }

  // Callbacks run once the step's state is settled, because they may call the generator again.
  using Completions = std::vector<std::function<void()>>;

  GenerationSequence& sequenceOf(SequenceId id);
  GenerationSequence& add(SequenceId id);
  void checkTokens(const std::vector<int32_t>& tokens, size_t before) const;
  void begin(SequenceId id, GenerationSequence& sequence, std::unique_ptr<GenerationRequest> request);
  void checkBudget(int64_t length) const;
  void dropCache();
  bool atLimit(const GenerationSequence& sequence) const;

  std::function<void()> finishSample(SequenceId id, GenerationSequence& sequence, FinishReason reason);
  std::function<void()> finishPrefill(SequenceId id, GenerationSequence& sequence, std::exception_ptr error);
  std::function<void()> fail(SequenceId id, GenerationSequence& sequence, std::exception_ptr error);

  void finishPrefills(Completions& completions);
  void compute(const std::vector<Scheduler::Share>& shares, Completions& completions);
  void draw(const Tensor& deviceLogits, const Scheduler::Share* shares);
  SampledToken drawAgain(const Tensor& deviceLogits, SamplingDraw draw, SamplingOptions options);
  void drawRows(const Tensor& deviceLogits, const SamplingDraw* draws, SamplingRow* rows,
                SampledToken* drawn);
  void sampleRows(const std::vector<Scheduler::Share>& sampled, const std::vector<int32_t>& rows,
                  Completions& completions);
  void accept(const Scheduler::Share& share, const SampledToken& token, Completions& completions);

  Backend& backend;
  const ModelConfig config;
  const std::vector<std::string> tokenBytes;
  std::vector<bool> absent;                           // [V]
  std::vector<std::pair<int32_t, float>> absentBans;  // a logit bias that bans what is absent
  KvCache cache;
  Decoder decoder;
  Scheduler scheduler;
  GenerationSequences sequences;
  ActiveSequences active;
  GenerationStats stats;
  // One step's rows and logits (copied where the host cannot read the backend's memory); members, to keep
  // their memory.
  std::vector<int32_t> tokens, positions;
  std::vector<CachedAttentionRow> cachedRows;
  std::vector<float> logits;
  std::vector<SamplingRow> samplingRows;
  std::vector<SamplingDraw> samplingDraws;
  std::vector<SampledToken> sampledTokens;
};

Generator::Generator(Backend& backend, const Parameters& parameters, const GenerationOptions& options,
                     std::vector<std::string> tokenBytes) {
  require(!options.maxBatchRows || *options.maxBatchRows >= 1, "ERR_ARGUMENT",
          "maxBatchRows must be at least 1, but is " + std::to_string(options.maxBatchRows.value_or(0)));
  require(static_cast<int64_t>(tokenBytes.size()) <= parameters.config().vocabSize, "ERR_ARGUMENT",
          "tokenBytes has " + std::to_string(tokenBytes.size()) + " entries, more than the vocabulary of " +
              std::to_string(parameters.config().vocabSize));
  impl_ = std::make_unique<Impl>(backend, parameters, options, std::move(tokenBytes));
}

Generator::~Generator() = default;

size_t Generator::workspaceBytes(Backend& backend, const ModelConfig& config, const AdapterOptions* adapter,
                                 const GenerationOptions& options) {
  const int64_t rows = options.maxBatchRows.value_or(backend.defaults().maxBatchRows);
  return Decoder::workspaceBytes(backend, config, adapter, options.format, rows,
                                 std::min(rows, rowsOfLogits(config)));
}

void Generator::weightsChanged() {
  impl_->decoder.weights().weightsChanged();
  impl_->dropCache();
}

void Generator::adapterChanged() {
  impl_->decoder.weights().adapterChanged();
  impl_->dropCache();
}

void Generator::setMerged(bool merged) {
  impl_->decoder.weights().setMerged(merged);
  impl_->dropCache();
}

void Generator::Impl::dropCache() {
  for (auto& [id, sequence] : sequences) cache.truncate(sequence.cache, 0);
}

// --- Sequences ---

GenerationSequence& Generator::Impl::sequenceOf(SequenceId id) {
  const auto found = sequences.find(id);
  require(found != sequences.end(), "ERR_SEQUENCE", "there is no sequence " + std::to_string(id));
  return found->second;
}

GenerationSequence& Generator::Impl::add(SequenceId id) {
  const auto [entry, isNew] = sequences.try_emplace(id);
  require(isNew, "ERR_SEQUENCE", "there already is a sequence " + std::to_string(id));
  return entry->second;
}

void Generator::Impl::checkTokens(const std::vector<int32_t>& added, size_t before) const {
  for (const int32_t token : added) {
    require(token >= 0 && token < config.vocabSize, "ERR_ARGUMENT",
            "token " + std::to_string(token) + " is outside the vocabulary of " +
                std::to_string(config.vocabSize));
  }
  require(static_cast<int64_t>(before + added.size()) <= config.maxPositions, "ERR_ARGUMENT",
          "the sequence would have " + std::to_string(before + added.size()) + " tokens; the model has " +
              std::to_string(config.maxPositions) + " positions");
}

void Generator::create(SequenceId id, std::vector<int32_t> tokens) {
  require(!tokens.empty(), "ERR_ARGUMENT", "a sequence needs at least one token");
  impl_->checkTokens(tokens, 0);
  impl_->add(id).tokens = std::move(tokens);
}

void Generator::fork(SequenceId id, SequenceId parent) {
  GenerationSequence& from = impl_->sequenceOf(parent);
  GenerationSequence& child = impl_->add(id);
  child.tokens = from.tokens;
  child.cache = impl_->cache.share(from.cache);
  child.lastUse = from.lastUse = impl_->stats.steps;
}

void Generator::append(SequenceId id, const std::vector<int32_t>& tokens) {
  GenerationSequence& sequence = impl_->sequenceOf(id);
  require(!sequence.request, "ERR_BUSY",
          "tokens cannot be appended while the sequence is sampled or prefilled");
  impl_->checkTokens(tokens, sequence.tokens.size());
  sequence.tokens.insert(sequence.tokens.end(), tokens.begin(), tokens.end());
}

void Generator::release(SequenceId id) {
  abort(id);
  GenerationSequence& sequence = impl_->sequenceOf(id);
  impl_->cache.truncate(sequence.cache, 0);
  impl_->sequences.erase(id);
}

const std::vector<int32_t>& Generator::tokens(SequenceId id) const { return impl_->sequenceOf(id).tokens; }

// --- Requests ---

void Generator::Impl::begin(SequenceId id, GenerationSequence& sequence,
                            std::unique_ptr<GenerationRequest> request) {
  request->firstLength = sequence.tokens.size();
  sequence.request = std::move(request);
  active.emplace(id, &sequence);
}

void Generator::Impl::checkBudget(int64_t length) const {
  require(length <= cache.capacityTokens(), "ERR_KV_BUDGET",
          std::to_string(length) + " tokens can never be cached: kvBudgetBytes allows " +
              std::to_string(cache.capacityTokens()) + " in all");
}

// Whether nothing more can be sampled: the next token would have no position, or the present ones would not
// fit the cache.
bool Generator::Impl::atLimit(const GenerationSequence& sequence) const {
  const auto length = static_cast<int64_t>(sequence.tokens.size());
  return length >= config.maxPositions || length > cache.capacityTokens();
}

void Generator::prefill(SequenceId id, std::function<void(std::exception_ptr)> done) {
  GenerationSequence& sequence = impl_->sequenceOf(id);
  require(!sequence.request, "ERR_BUSY", "this sequence is already being sampled or prefilled");
  impl_->checkBudget(static_cast<int64_t>(sequence.tokens.size()) - 1);
  auto request = std::make_unique<GenerationRequest>();
  request->prefilled = std::move(done);
  impl_->begin(id, sequence, std::move(request));
}

void Generator::sample(SequenceId id, SamplingOptions options,
                       std::function<void(std::exception_ptr, SampleResult)> done) {
  GenerationSequence& sequence = impl_->sequenceOf(id);
  require(!sequence.request, "ERR_BUSY", "this sequence is already being sampled or prefilled");
  checkSamplingOptions(options, impl_->config.vocabSize);
  require(options.stopStrings.empty() || !impl_->tokenBytes.empty(), "ERR_ARGUMENT",
          "stop strings need a generator that was given the bytes of the tokens");
  impl_->checkBudget(static_cast<int64_t>(sequence.tokens.size()));
  auto request = std::make_unique<GenerationRequest>();
  request->sampling = true;
  request->options = std::move(options);
  // A row with a bias anyway bans what is absent at once.
  auto& bias = request->options.logitBias;
  if (!bias.empty()) bias.insert(bias.end(), impl_->absentBans.begin(), impl_->absentBans.end());
  request->sampled = std::move(done);
  impl_->begin(id, sequence, std::move(request));
  if (impl_->atLimit(sequence)) impl_->finishSample(id, sequence, FinishReason::Length)();
}

void Generator::abort(SequenceId id) {
  GenerationSequence& sequence = impl_->sequenceOf(id);
  if (!sequence.request) return;
  if (sequence.request->sampling) {
    impl_->finishSample(id, sequence, FinishReason::Aborted)();
  } else {
    impl_->finishPrefill(id, sequence, errorOf("ERR_ABORTED", "the prefill was aborted"))();
  }
}

// A request ends in one of three ways. Each takes the request off and returns the call that tells its caller.

std::function<void()> Generator::Impl::finishSample(SequenceId id, GenerationSequence& sequence,
                                                    FinishReason reason) {
  std::shared_ptr<GenerationRequest> request = std::move(sequence.request);
  active.erase(id);
  request->result.reason = reason;
  return [request] { request->sampled(nullptr, std::move(request->result)); };
}

std::function<void()> Generator::Impl::finishPrefill(SequenceId id, GenerationSequence& sequence,
                                                     std::exception_ptr error) {
  std::shared_ptr<GenerationRequest> request = std::move(sequence.request);
  active.erase(id);
  return [request, error] { request->prefilled(error); };
}

// Leaves the sequence as it was before the request.
std::function<void()> Generator::Impl::fail(SequenceId id, GenerationSequence& sequence,
                                            std::exception_ptr error) {
  if (!sequence.request->sampling) return finishPrefill(id, sequence, error);
  std::shared_ptr<GenerationRequest> request = std::move(sequence.request);
  active.erase(id);
  sequence.tokens.resize(request->firstLength);
  // The last token is computed again, because its row gives the logits of the next attempt.
  cache.truncate(sequence.cache, static_cast<int64_t>(request->firstLength) - 1);
  return [request, error] { request->sampled(error, {}); };
}

// --- Steps ---

bool Generator::hasWork() const { return !impl_->active.empty(); }

void Generator::step() {
  const auto start = std::chrono::steady_clock::now();
  Impl& impl = *impl_;
  Impl::Completions completions;
  ++impl.stats.steps;
  impl.finishPrefills(completions);
  const std::vector<Scheduler::Share> shares =
      impl.scheduler.plan(impl.sequences, impl.active, impl.stats.steps);
  impl.stats.waiting = static_cast<int64_t>(impl.active.size() - shares.size());
  try {
    require(!shares.empty() || impl.active.empty(), "ERR_INTERNAL", "no request fits the key/value cache");
    if (!shares.empty()) impl.compute(shares, completions);
    impl.finishPrefills(completions);
  } catch (...) {
    // Whatever went wrong concerns the whole batch: everyone in it is told, so that nobody waits for ever.
    const ActiveSequences failed = impl.active;
    for (const auto& [id, sequence] : failed) {
      completions.push_back(impl.fail(id, *sequence, std::current_exception()));
    }
  }
  impl.stats.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const auto& complete : completions) complete();
}

void Generator::Impl::finishPrefills(Completions& completions) {
  for (auto entry = active.begin(); entry != active.end();) {
    const auto [id, sequence] = *entry++;
    if (!sequence->request->sampling && sequence->missing() <= 0)
      completions.push_back(finishPrefill(id, *sequence, nullptr));
  }
}

void Generator::Impl::compute(const std::vector<Scheduler::Share>& shares, Completions& completions) {
  tokens.clear();
  positions.clear();
  cachedRows.clear();
  std::vector<Scheduler::Share> sampled;
  std::vector<int32_t> sampledRows;
  for (const Scheduler::Share& share : shares) {
    const GenerationSequence& sequence = *share.sequence;
    const int64_t begin = sequence.cache.cached, end = begin + share.rows;
    for (int64_t position = begin; position < end; ++position) {
      tokens.push_back(sequence.tokens[static_cast<size_t>(position)]);
      positions.push_back(static_cast<int32_t>(position));
      cachedRows.push_back({sequence.cache.blocks.data(), static_cast<int32_t>(position + 1)});
    }
    if (sequence.request->sampling && end == static_cast<int64_t>(sequence.tokens.size())) {
      sampled.push_back(share);
      sampledRows.push_back(static_cast<int32_t>(tokens.size()) - 1);
    }
  }
  const auto count = static_cast<int64_t>(tokens.size());
  decoder.forward({count, tokens.data(), positions.data(), cachedRows.data()}, cache);
  for (const Scheduler::Share& share : shares) share.sequence->cache.cached += share.rows;
  stats.rows += static_cast<uint64_t>(count);
  stats.prefillTokens += static_cast<uint64_t>(count) - sampledRows.size();
  sampleRows(sampled, sampledRows, completions);
}

void Generator::Impl::sampleRows(const std::vector<Scheduler::Share>& sampled,
                                 const std::vector<int32_t>& rows, Completions& completions) {
  const int64_t count = static_cast<int64_t>(rows.size()), chunk = rowsOfLogits(config);
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t size = std::min(chunk, count - begin);
    const Tensor result = decoder.logits(rows.data() + begin, size);
    draw(result, sampled.data() + begin);
    for (int64_t i = 0; i < size; ++i) {
      accept(sampled[static_cast<size_t>(begin + i)], sampledTokens[static_cast<size_t>(i)], completions);
    }
  }
}

// Draws one token into sampledTokens per row of logits. A row that draws an absent token draws again among the
// others, from a random number of its own: without filters that is a draw from their distribution, and rows pay
// nothing for what is almost never drawn.
void Generator::Impl::draw(const Tensor& deviceLogits, const Scheduler::Share* shares) {
  const auto rows = static_cast<size_t>(deviceLogits.shape[0]);
  const Profiler::Scope scope(backend.profiler(), "sampling");
  samplingDraws.clear();
  samplingRows.clear();
  for (size_t i = 0; i < rows; ++i) {
    const GenerationSequence& sequence = *shares[i].sequence;
    const SamplingOptions& options = sequence.request->options;
    const auto position = static_cast<int64_t>(sequence.tokens.size());
    samplingDraws.push_back({options.temperature, options.topP, options.minP, options.topK, options.seed,
                             position, &options.logitBias});
    samplingRows.push_back({nullptr, &options, position});
  }
  sampledTokens.resize(rows);
  drawRows(deviceLogits, samplingDraws.data(), samplingRows.data(), sampledTokens.data());
  for (size_t i = 0; i < rows; ++i) {
    const SampledToken& drawn = sampledTokens[i];
    if (drawn.status != SampledToken::Status::Drawn || !absent[static_cast<size_t>(drawn.token)]) continue;
    const auto row = static_cast<int64_t>(i);
    sampledTokens[i] = drawAgain(deviceLogits.rows(row, row + 1), samplingDraws[i], *samplingRows[i].options);
  }
}

SampledToken Generator::Impl::drawAgain(const Tensor& deviceLogits, SamplingDraw draw,
                                        SamplingOptions options) {
  constexpr uint64_t kSecondDraw = 0x616761696e;  // "again"
  draw.seed = options.seed ^= kSecondDraw;
  draw.logitBias = &absentBans;
  options.logitBias = absentBans;
  SamplingRow row{nullptr, &options, draw.position};
  SampledToken drawn;
  drawRows(deviceLogits, &draw, &row, &drawn);
  return drawn;
}

// One draw per row: on the device where it can, otherwise here.
void Generator::Impl::drawRows(const Tensor& deviceLogits, const SamplingDraw* draws, SamplingRow* rows,
                               SampledToken* drawn) {
  if (backend.sampleTokens(deviceLogits, draws, drawn)) return;
  const float* values = deviceLogits.f32();
  if (!backend.hostMemory()) {
    logits.resize(static_cast<size_t>(deviceLogits.count()));
    backend.copyToHost(logits.data(), values, deviceLogits.bytes());
    values = logits.data();
  }
  const int64_t count = deviceLogits.shape[0];
  for (int64_t i = 0; i < count; ++i) rows[i].logits = values + i * config.vocabSize;
  sampleTokens(rows, count, config.vocabSize, drawn);
}

// Adds the token to the sequence and checks whether the sample ends with it.
void Generator::Impl::accept(const Scheduler::Share& share, const SampledToken& drawn,
                             Completions& completions) {
  GenerationSequence& sequence = *share.sequence;
  GenerationRequest& request = *sequence.request;
  const std::string at = "at position " + std::to_string(sequence.tokens.size());
  if (drawn.status != SampledToken::Status::Drawn) {
    const auto error = drawn.status == SampledToken::Status::NonFinite
                           ? errorOf("ERR_NON_FINITE", "a logit " + at + " is not a finite number")
                           : errorOf("ERR_ARGUMENT", "logitBias bans every token " + at);
    completions.push_back(fail(share.id, sequence, error));
    return;
  }
  ++stats.sampledTokens;
  sequence.tokens.push_back(drawn.token);
  request.result.tokens.push_back(drawn.token);
  request.result.logprobs.push_back(drawn.logprob);
  const std::vector<int32_t>& stopTokens = request.options.stopTokens;
  const auto finish = [&](FinishReason reason) {
    completions.push_back(finishSample(share.id, sequence, reason));
  };
  if (std::find(stopTokens.begin(), stopTokens.end(), drawn.token) != stopTokens.end()) {
    request.result.stopToken = drawn.token;
    return finish(FinishReason::StopToken);
  }
  if (static_cast<size_t>(drawn.token) < tokenBytes.size()) {
    const std::string& bytes = tokenBytes[static_cast<size_t>(drawn.token)];
    request.result.stopString = request.stopStrings.feed(request.options.stopStrings, bytes);
    if (request.result.stopString >= 0) return finish(FinishReason::StopString);
  }
  const auto sampled = static_cast<int64_t>(request.result.tokens.size());
  if (sampled >= request.options.maxTokens || atLimit(sequence)) finish(FinishReason::Length);
}

GenerationStats Generator::stats() const {
  GenerationStats stats = impl_->stats;
  const KvCache& cache = impl_->cache;
  stats.evictions = impl_->scheduler.evictions();
  stats.kvBytesBudget = cache.blockBytes() * static_cast<size_t>(cache.blocks());
  stats.kvBytesUsed = cache.blockBytes() * static_cast<size_t>(cache.blocks() - cache.freeBlocks());
  stats.live = static_cast<int64_t>(impl_->sequences.size());
  stats.sampling = static_cast<int64_t>(impl_->active.size());
  stats.waiting = std::min(stats.waiting, stats.sampling);
  return stats;
}

}  // namespace hdpo
