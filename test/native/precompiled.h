// What nearly every test includes, so that the compiler reads it once.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "op_test.h"
#include "training_batches.h"
