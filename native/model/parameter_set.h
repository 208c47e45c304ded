// Named tensors in memory of their own: a model's weights, an adapter's, or anything of their shape
// (gradients, momentum, variance). In float32 they lie in one flat buffer, so that the optimiser, clipping
// and checkpoints are each one loop. With bfloat16 matrices there are two buffers: the matrices and the
// (float32) vectors.
#pragma once

#include <string>
#include <vector>

#include "ops/buffer.h"

namespace hdpo {

struct ParameterEntry {
  std::string name;  // Hugging Face name, "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;
  int64_t offset = 0;  // in elements of the flat float32 buffer
  int64_t count = 0;
  bool decays = false;  // true for matrices, which decay and may be bfloat16; false for norms and biases
};

// Appends entries in the order of memory.
class ParameterLayout {
 public:
  void matrix(const std::string& name, int64_t rows, int64_t columns) { append(name, {rows, columns}, true); }
  void vector(const std::string& name, int64_t count) { append(name, {count}, false); }
  std::vector<ParameterEntry> take() { return std::move(entries_); }

 private:
  void append(const std::string& name, std::vector<int64_t> shape, bool decays);
  std::vector<ParameterEntry> entries_;
  int64_t offset_ = 0;
};

int64_t parameterCount(const std::vector<ParameterEntry>& entries);
size_t parameterBytes(const std::vector<ParameterEntry>& entries, DType matrices);

class ParameterSet {
 public:
  ParameterSet(Backend& backend, std::vector<ParameterEntry> entries, DType matrices);  // zero-filled

  Backend& backend() const { return backend_; }
  const std::vector<ParameterEntry>& entries() const { return entries_; }
  int64_t count() const { return count_; }
  size_t bytes() const { return matrices_.bytes() + vectors_.bytes(); }
  DType precision() const { return precision_; }  // type of the matrices
  Tensor flat() const;                            // [count]; ERR_STATE where matrices are bfloat16
  Tensor view(const ParameterEntry&) const;       // with the entry's shape

  void zero();
  // Rounds to nearest, or widens, where the precisions differ. Throws ERR_SHAPE unless the entries are the
  // same.
  void copyFrom(const ParameterSet& other);
  // Writes one tensor from host memory.
  void write(const ParameterEntry& entry, const float* values);

 protected:
  // Hands out views of consecutive entries, in the order of memory.
  class Cursor {
   public:
    explicit Cursor(const ParameterSet& set);
    Tensor matrix(int64_t rows, int64_t columns);
    Tensor vector(int64_t count);

   private:
    DType precision_;
    char *matrices_, *vectors_;
  };

 private:
  Backend& backend_;
  std::vector<ParameterEntry> entries_;
  DType precision_;
  std::vector<size_t> addresses_;  // bytes from the start of the entry's buffer
  int64_t count_ = 0;
  Buffer matrices_, vectors_;  // in float32 everything is in matrices_
};

}  // namespace hdpo
