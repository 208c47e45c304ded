// A generator with all that its tests need of it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "generation/generator.h"
#include "op_test.h"
#include "training_batches.h"

namespace hdpo {

constexpr size_t kPlenty = size_t{1} << 24;

// A generator whose finished samples are kept by sequence, and failures as "CODE message".
class Session {
 public:
  explicit Session(const ModelConfig& config, size_t kvBudgetBytes = kPlenty, int64_t maxBatchRows = 256,
                   std::vector<std::string> tokenBytes = {}, uint64_t seed = 50,
                   std::vector<int32_t> absentTokens = {})
      : backend(createCpuBackend(2)), parameters(*backend, config) {
    randomise(parameters, seed);
    GenerationOptions options{kvBudgetBytes, maxBatchRows};
    options.absentTokens = std::move(absentTokens);
    generator = std::make_unique<Generator>(*backend, parameters, options, std::move(tokenBytes));
  }
  void sample(SequenceId id, const SamplingOptions& options) {
    generator->sample(id, options, [this, id](std::exception_ptr error, SampleResult result) {
      record(id, error);
      results[id] = std::move(result);
    });
  }
  void prefill(SequenceId id) {
    generator->prefill(id, [this, id](std::exception_ptr error) {
      record(id, error);
      prefilled.push_back(id);
    });
  }
  void run() {
    int64_t steps = 0;
    while (generator->hasWork()) {
      generator->step();
      if (++steps == 100000) throw Error("ERR_TEST", "generation does not end");
    }
  }
  SampleResult sampled(SequenceId id, const SamplingOptions& options) {
    sample(id, options);
    run();
    return results.at(id);
  }

  std::unique_ptr<Backend> backend;
  Parameters parameters;
  std::unique_ptr<Generator> generator;
  std::map<SequenceId, SampleResult> results;
  std::map<SequenceId, std::string> errors;
  std::vector<SequenceId> prefilled;

 private:
  void record(SequenceId id, std::exception_ptr error) {
    errors[id] = error ? refusal([&] { std::rethrow_exception(error); }) : "";
  }
};

inline SamplingOptions sampling(int64_t maxTokens, uint64_t seed, float temperature = 1) {
  SamplingOptions options = typicalSampling();
  options.maxTokens = maxTokens;
  options.seed = seed;
  options.temperature = temperature;
  return options;
}

}  // namespace hdpo
