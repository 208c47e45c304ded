// What nearly every source of the core includes, read by the compiler once. Sources include what they use all
// the same: binding.gyp builds without it.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "ops/backend.h"
