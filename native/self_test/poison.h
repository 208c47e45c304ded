// The values of outputs before a call, so that whatever it leaves unwritten shows.
#pragma once

#include <limits>

namespace hdpo::self_test {

inline constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();

}  // namespace hdpo::self_test
