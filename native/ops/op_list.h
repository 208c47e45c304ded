// The ops that every backend has, with the shapes of their operands, by families: each backend defines a
// family in the file of its name. This is no header of its own but a part of a class, so that a declaration
// is written once: Backend (ops/backend.h) includes it with HDPO_OP as `= 0`, CpuBackend and CudaBackend with
// HDPO_OP as `override`.
//
// Letters and conventions are those of ops/backend.h. A stands for a tensor of the type that
// Backend::activationType names; every other tensor is float32 where nothing else is said. R rows, C columns.

// matmul: out [M, Q] = op(a) [M, P] * op(b) [P, Q] + beta * out, where op is the transpose if asked for. a
// and b are float32 or bfloat16, each by itself; out is float32 or, where a or b is bfloat16, A.
virtual void matmul(const Tensor& out, const Tensor& a, bool transposeA, const Tensor& b, bool transposeB,
                    float beta) HDPO_OP;

// rms_norm: y [R, C] A = x * rsqrt(mean(x^2) + epsilon) * weight, the mean over a row of x [R, C]; weight
// [C]. inverseRms [R] is kept for backward, and may be empty in inference. y may be x where they have one
// type.
virtual void rmsNorm(const Tensor& y, const Tensor& inverseRms, const Tensor& x, const Tensor& weight,
                     float epsilon) HDPO_OP;
// gradX [R, C] = or, with `accumulate`, +=; gradY [R, C] A; gradWeight [C] +=, empty: the weight is frozen.
virtual void rmsNormBackward(const Tensor& gradX, bool accumulate, const Tensor& gradWeight,
                             const Tensor& gradY, const Tensor& x, const Tensor& weight,
                             const Tensor& inverseRms) HDPO_OP;

// head_norm (QK-norm, Qwen3): rmsNorm over the E elements of every query head (times queryWeight [E]) and
// every key head (times keyWeight [E]) of qkv [N, (H + 2K) * E] A; values are copied. out A may be qkv.
// inverseRms [N, H + K] may be empty in inference.
virtual void headNorm(const Tensor& out, const Tensor& inverseRms, const Tensor& qkv,
                      const Tensor& queryWeight, const Tensor& keyWeight, const AttentionShape& shape,
                      float epsilon) HDPO_OP;
// In place: gradQkv A comes as the gradient of `out` and leaves as that of qkv, the input of headNorm.
// gradQueryWeight [E] and gradKeyWeight [E] +=, both empty: the weights are frozen.
virtual void headNormBackward(const Tensor& gradQkv, const Tensor& gradQueryWeight,
                              const Tensor& gradKeyWeight, const Tensor& qkv, const Tensor& queryWeight,
                              const Tensor& keyWeight, const Tensor& inverseRms,
                              const AttentionShape& shape) HDPO_OP;

// rotary: rotates in place the query and key heads of qkv [N, (H + 2K) * E] A. A head's pairs are its
// elements (i, i + E / 2), the angle is position * inverseFrequencies[i]. direction +1: forward; -1:
// backward, which is the inverse rotation. positions [N] and inverseFrequencies [E / 2] in host memory.
virtual void rotary(const Tensor& qkv, const AttentionShape& shape, const int32_t* positions,
                    const float* inverseFrequencies, int direction) HDPO_OP;

// attention: causal attention inside each sequence of a packed batch. qkv [N, (H + 2K) * E] A; out [N, H * E]
// A; logSumExp [N, H] is kept for backward; offsets [S + 1] in host memory. Scores are divided by sqrt(E).
virtual void attention(const Tensor& out, const Tensor& logSumExp, const Tensor& qkv, const int32_t* offsets,
                       int64_t sequences, const AttentionShape& shape) HDPO_OP;
// gradQkv [N, (H + 2K) * E] A is written; gradOut A.
virtual void attentionBackward(const Tensor& gradQkv, const Tensor& gradOut, const Tensor& qkv,
                               const Tensor& out, const Tensor& logSumExp, const int32_t* offsets,
                               int64_t sequences, const AttentionShape& shape) HDPO_OP;

// swiglu: out [N, F] A = silu(gate) * up; gateUp [N, 2F] A holds gate beside up. gradGateUp and gradOut A.
virtual void swiglu(const Tensor& out, const Tensor& gateUp) HDPO_OP;
virtual void swigluBackward(const Tensor& gradGateUp, const Tensor& gradOut, const Tensor& gateUp) HDPO_OP;

// embedding: out [N, D] = table[tokens]; table [V, D] float32 or bfloat16; tokens [N] in host memory.
// Backward: gradTable [V, D] +=, float32.
virtual void embedding(const Tensor& out, const Tensor& table, const int32_t* tokens) HDPO_OP;
virtual void embeddingBackward(const Tensor& gradTable, const Tensor& gradOut, const int32_t* tokens) HDPO_OP;

// elementwise. convert: out = in between float32 and bfloat16, rounded to nearest, ties to even; NaN stays
// NaN. Where both have one type it copies.
virtual void convert(const Tensor& out, const Tensor& in) HDPO_OP;
// All operands but a bias have one type, float32 or A.
virtual void add(const Tensor& out, const Tensor& a, const Tensor& b) HDPO_OP;      // out may be a or b
virtual void addBias(const Tensor& rows, const Tensor& bias) HDPO_OP;               // rows [R, C] += bias [C]
virtual void biasBackward(const Tensor& gradBias, const Tensor& gradRows) HDPO_OP;  // [C] += column sums
// gather: out[i] = rows[index[i]]; scatter: out = 0, then out[index[i]] = rows[i]. index in host memory.
virtual void gatherRows(const Tensor& out, const Tensor& rows, const int32_t* index) HDPO_OP;
virtual void scatterRows(const Tensor& out, const Tensor& rows, const int32_t* index) HDPO_OP;

// adapter (LoRA, see model/adapter.h). dropout: out [R, C] A = rows [R, C] A / (1 - probability) where the
// mask keeps an element, 0 elsewhere; out may be rows.
virtual void dropout(const Tensor& out, const Tensor& rows, const DropoutMask& mask) HDPO_OP;
// The rows of `up` [sum of the blocks' rows, rank] belong to the modules in their order. out [outputs,
// modules * rank] = scale * module i's part of up in the rows of block i and columns [i * rank,
// (i + 1) * rank), and 0 elsewhere. blocks [modules] in host memory.
virtual void spreadBlocks(const Tensor& out, const Tensor& up, const AdapterBlock* blocks, int64_t modules,
                          float scale) HDPO_OP;
// The way back: gradUp += scale * what lies where spreadBlocks has put it.
virtual void spreadBlocksBackward(const Tensor& gradUp, const Tensor& gradOut, const AdapterBlock* blocks,
                                  int64_t modules, float scale) HDPO_OP;

// optimizer: flat tensors of equal length. sumOfSquares adds in float64, in a fixed order.
virtual double sumOfSquares(const Tensor& values) HDPO_OP;
virtual void adamW(const Tensor& weight, const Tensor& gradient, const Tensor& momentum,
                   const Tensor& variance, const AdamWOptions& options) HDPO_OP;

// advantages, policy_loss, linear_loss: shapes and the paper's equations in ops/policy_loss.h.
virtual void groupAdvantages(const GroupAdvantagesInput& input, const GroupAdvantagesOutput& output) HDPO_OP;
virtual PolicyLossSums policyLoss(const PolicyLossInput& input, const PolicyLossOutput& output) HDPO_OP;
virtual PolicyLossSums linearLoss(const LinearLossInput& input, const LinearLossOutput& output) HDPO_OP;

// packed_matmul: products for generation. Each output row is computed in the same order of additions whatever
// the other rows are, so that a sequence's logits do not depend on its batch. x [rows, inputs] and out
// [rows, outputs] are float32, or A beside a packed weight that is not. packWeight brings weight
// [outputs, inputs], float32 or bfloat16, into the format of `packed`; packedBytes takes the same shape.
virtual size_t packedBytes(const MatrixShape& weight, PackedFormat format) HDPO_OP;
virtual void packWeight(const PackedWeight& packed, const Tensor& weight) HDPO_OP;
virtual void packedMatmul(const Tensor& out, const Tensor& x, const PackedWeight& weight) HDPO_OP;

// cached_attention. cache [blocks, 2, K, E * kvBlockTokens], float32 or bfloat16, has the keys and the values
// of every block of one layer; how they lie inside a block is the backend's own. A cache is bfloat16 where A
// is: rows come rounded, and float32 would hold nothing more.
// writeCache: the key and value of row r of qkv [R, (H + 2K) * E] A, rounded to the cache's type, to position
// rows[r].length - 1. rows [R] in host memory.
virtual void writeCache(const Tensor& cache, const Tensor& qkv, const CachedAttentionRow* rows,
                        const AttentionShape& shape) HDPO_OP;
// cachedAttention: the queries of qkv [R, (H + 2K) * E] A attend to the cache; out [R, H * E] A, computed in
// float32. A row does not depend on the others, as in packedMatmul (on CUDA this holds for single rows).
virtual void cachedAttention(const Tensor& out, const Tensor& cache, const Tensor& qkv,
                             const CachedAttentionRow* rows, const AttentionShape& shape) HDPO_OP;
