// The reference is part of the library: `hdpo doctor --self-test` compares the CPU's kernels with it.
#pragma once

#include "self_test/reference_backend.h"
