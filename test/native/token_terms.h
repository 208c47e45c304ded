// Tokens of a policy loss that reach every branch of it.
#pragma once

#include <cmath>
#include <vector>

#include "core/random.h"
#include "ops/policy_loss.h"
#include "self_test/typical_options.h"

namespace hdpo {

// Old logprobs lie around -log(vocabSize), some so far away that every clip acts; advantages have both signs
// and are 0 at times.
inline std::vector<TokenTerms> randomTerms(int64_t count, int64_t vocabSize, uint64_t seed) {
  std::vector<TokenTerms> terms(static_cast<size_t>(count));
  const float centre = -std::log(static_cast<float>(vocabSize));
  for (size_t t = 0; t < terms.size(); ++t) {
    const auto draw = [&](uint64_t stream) { return normal(seed, stream, t); };
    terms[t].oldLogprob = centre + (t % 5 == 4 ? 3 : 0.3f) * draw(0) - (t % 11 == 10 ? 25 : 0);
    terms[t].referenceLogprob = centre + 0.5f * draw(1);
    terms[t].accuracyAdvantage = t % 7 == 6 ? 0 : draw(2);
    terms[t].efficiencyAdvantage = t % 3 == 2 ? 0 : draw(3);
    terms[t].accuracyScale = 1.0f / static_cast<float>(count);
    terms[t].efficiencyScale = t % 3 == 2 ? 0 : 1.5f / static_cast<float>(count);
  }
  return terms;
}

struct NamedLossOptions {
  const char* name;
  PolicyLossOptions options;
};

inline std::vector<NamedLossOptions> lossVariants() {
  PolicyLossOptions hot = typicalLoss(), kl = typicalLoss(), bonus = typicalLoss(), all = typicalLoss();
  hot.temperature = 0.7f;
  kl.klCoefficient = 0.3f;
  bonus.entropyCoefficient = 0.2f;
  all.temperature = 1.6f;
  all.clipLow = 0.1f;
  all.clipHigh = 0.28f;
  all.dualClip = 1.5f;
  all.accuracyWeight = 0.5f;
  all.efficiencyWeight = 2;
  all.klCoefficient = 0.05f;
  all.entropyCoefficient = -0.1f;
  return {
      {"typical", typicalLoss()}, {"temperature", hot}, {"kl", kl}, {"entropy bonus", bonus}, {"all", all}};
}

}  // namespace hdpo
