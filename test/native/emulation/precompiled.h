// What nearly every test of the emulation and every kernel includes, so that the compiler reads it once.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/random.h"
#include "cuda/element.h"
#include "cuda/reduce.h"
#include "cuda/workspace.h"
#include "ops/backend.h"
#include "reference_backend.h"
