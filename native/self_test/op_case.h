// One case of the self-test's table: the operands of an op, how it is called, and what a call must at least
// move and compute. The same case runs on any backend.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ops/buffer.h"

namespace hdpo::self_test {

// A small model and a batch for it, from which the shapes of all cases are made.
struct CaseShape {
  int64_t tokens = 0, sequences = 1;
  int64_t hidden = 0, feedForward = 0;
  int64_t heads = 0, kvHeads = 0, headDim = 0;
  int64_t vocabSize = 0;

  AttentionShape attentionShape() const { return {.heads = heads, .kvHeads = kvHeads, .headDim = headDim}; }
  int64_t qkvWidth() const { return attentionShape().qkvWidth(); }
  std::vector<int32_t> offsets() const;    // [sequences + 1]: lengths that differ, each at least 1
  std::vector<int32_t> positions() const;  // [tokens], from 0 in each sequence
  std::vector<int32_t> tokenIds() const;   // [tokens]
};

std::vector<float> inverseFrequencies(int64_t headDim);  // [headDim / 2], base 10000

// Outputs hold NaN before the call.
enum class Role : uint8_t { Input, Output, InPlace };

struct Operand {
  Role role = Role::Input;
  DType dtype = DType::Float32;
  std::vector<int64_t> dimensions;
  float scale = 1, offset = 0;  // values are uniform in offset +- scale, for Input and InPlace
  // Whether a bfloat16 operand is an activation: a backend whose activations are float32 has its rounded
  // values in float32.
  bool activation = false;

  int64_t count() const;
};

// The tensors of a call, in the order in which the operands were declared, and what the call returned to the
// host.
struct Call {
  std::vector<Tensor> tensors;
  std::vector<std::vector<float>> hostResults;
  std::vector<Buffer> memory;  // made by `prepare`, in the backend's own layout

  const Tensor& operator[](size_t operand) const { return tensors[operand]; }
};

struct OpCase {
  std::vector<Operand> operands;
  std::function<void(Backend&, Call&)> prepare;  // called once before the call; may be empty
  std::function<void(Backend&, Call&)> run;
  double bytes = 0;               // read and written at least
  double flops = 0;               // multiply-adds counted as two
  bool bfloat16Products = false;  // its matrix products are held to the rate of bfloat16 products
  double tolerance = 1e-5;  // for each result: Euclidean length of the difference over that of the reference

  size_t input(std::vector<int64_t> dimensions, float scale = 1, float offset = 0,
               DType dtype = DType::Float32);
  size_t output(std::vector<int64_t> dimensions, DType dtype = DType::Float32);
  size_t inPlace(std::vector<int64_t> dimensions, float scale = 1, float offset = 0);
  // The same for activations of the given type. With bfloat16 they widen the tolerance to what rounding the
  // results takes.
  size_t activationInput(DType type, std::vector<int64_t> dimensions, float scale = 1);
  size_t activationOutput(DType type, std::vector<int64_t> dimensions);
  size_t activationInPlace(DType type, std::vector<int64_t> dimensions);
  // Bytes of all operands, counting those in place twice.
  double operandBytes() const;

 private:
  size_t activation(Role role, DType type, std::vector<int64_t> dimensions, float scale);
};

// A row of the table: adding an op to the backend means adding a row.
struct OpRow {
  const char* name;  // the op, and what varies
  OpCase (*make)(const CaseShape& shape);
};

// All ops of Backend that compute, in the order of ops/backend.h. Where `tested` has bfloat16 activations,
// the ops that take them come once more with these.
std::vector<OpRow> opTable(const Backend& tested);

// Shapes with odd sizes around the edges of tiles, blocks and warps, and one with a single row.
const std::vector<CaseShape>& checkedShapes();

}  // namespace hdpo::self_test
