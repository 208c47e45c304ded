// One case of the self-test's table: the operands of an op, how it is called, and what a call moves and
// computes at the least. The same case runs on any backend.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ops/buffer.h"

namespace hdpo::self_test {

// A small model and a batch for it: what the shapes of all cases are made of.
struct CaseShape {
  int64_t tokens = 0, sequences = 1;
  int64_t hidden = 0, feedForward = 0;
  int64_t heads = 0, kvHeads = 0, headDim = 0;
  int64_t vocabSize = 0;

  int64_t qkvWidth() const { return (heads + 2 * kvHeads) * headDim; }
  std::vector<int32_t> offsets() const;    // [sequences + 1]: lengths that differ, each at least 1
  std::vector<int32_t> positions() const;  // [tokens], from 0 in each sequence
  std::vector<int32_t> tokenIds() const;   // [tokens]
};

std::vector<float> inverseFrequencies(int64_t headDim);  // [headDim / 2], base 10000

// An output holds NaN before the call.
enum class Role : uint8_t { Input, Output, InPlace };

struct Operand {
  Role role = Role::Input;
  DType dtype = DType::Float32;
  std::vector<int64_t> dimensions;
  float scale = 1, offset = 0;  // values are uniform in offset +- scale; Input and InPlace
  // In bfloat16 as an activation: a backend whose activations are float32 has the rounded values in float32.
  bool activation = false;

  int64_t count() const;
};

// The tensors of a call, in the order in which the operands were declared, and what it returned to the host.
struct Call {
  std::vector<Tensor> tensors;
  std::vector<std::vector<float>> hostResults;
  std::vector<Buffer> memory;  // of the backend, whose layout is its own: what `prepare` makes

  const Tensor& operator[](size_t operand) const { return tensors[operand]; }
};

struct OpCase {
  std::vector<Operand> operands;
  std::function<void(Backend&, Call&)> prepare;  // once before; may be empty
  std::function<void(Backend&, Call&)> run;
  double bytes = 0;               // read and written at the least
  double flops = 0;               // multiply-adds counted as two
  bool bfloat16Products = false;  // the ceiling of its matrix products is that of bfloat16
  double tolerance = 1e-5;  // of each result: Euclidean length of the difference over that of the reference

  size_t input(std::vector<int64_t> dimensions, float scale = 1, float offset = 0,
               DType dtype = DType::Float32);
  size_t output(std::vector<int64_t> dimensions, DType dtype = DType::Float32);
  size_t inPlace(std::vector<int64_t> dimensions, float scale = 1, float offset = 0);
  // The same for activations of a type. Of bfloat16 they widen the tolerance to what rounding results takes.
  size_t activationInput(DType type, std::vector<int64_t> dimensions, float scale = 1);
  size_t activationOutput(DType type, std::vector<int64_t> dimensions);
  size_t activationInPlace(DType type, std::vector<int64_t> dimensions);
  // Bytes of every operand once, those in place twice.
  double operandBytes() const;

 private:
  size_t activation(Role role, DType type, std::vector<int64_t> dimensions, float scale);
};

// A row of the table: adding an op to the backend means adding a row.
struct OpRow {
  const char* name;  // of the op, and what varies
  OpCase (*make)(const CaseShape& shape);
};

// All ops of Backend that compute, in the order of ops/backend.h, and where `tested` has activations in
// bfloat16, once more with these.
std::vector<OpRow> opTable(const Backend& tested);

// Shapes with odd sizes around the edges of tiles, blocks and warps, and one row alone.
const std::vector<CaseShape>& checkedShapes();

}  // namespace hdpo::self_test
