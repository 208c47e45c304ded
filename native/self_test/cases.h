// The parts of the table, by what the ops are for.
#pragma once

#include <vector>

#include "self_test/op_case.h"

namespace hdpo::self_test {

void appendModelCases(std::vector<OpRow>& rows);
void appendElementwiseCases(std::vector<OpRow>& rows);  // and the optimiser's
void appendLossCases(std::vector<OpRow>& rows);
void appendGenerationCases(std::vector<OpRow>& rows);

// The rows that differ with activations in bfloat16 (Backend::activationType).
void appendBFloat16ModelCases(std::vector<OpRow>& rows);
void appendBFloat16ElementwiseCases(std::vector<OpRow>& rows);
void appendBFloat16LossCases(std::vector<OpRow>& rows);
void appendBFloat16GenerationCases(std::vector<OpRow>& rows);

}  // namespace hdpo::self_test
