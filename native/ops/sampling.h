// Drawing tokens from logits where they lie: what a row wants, and what came of it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace hdpo {

// The options of generation/generator.h as they apply to one draw.
struct SamplingDraw {
  float temperature = 0, topP = 0, minP = 0;
  int32_t topK = 0;
  uint64_t seed = 0;
  int64_t position = 0;                                               // of the token to be drawn
  const std::vector<std::pair<int32_t, float>>* logitBias = nullptr;  // host memory; may be null
};

struct SampledToken {
  enum class Status : uint8_t {
    Drawn,
    NonFinite,       // a logit was NaN or infinite
    NothingAllowed,  // the logit bias bans every token
  };
  Status status = Status::Drawn;
  int32_t token = -1;
  float logprob = 0;  // see SampleResult::logprobs
};

}  // namespace hdpo
