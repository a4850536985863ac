// The table of kernels that each instruction set fills in. A kernel works on one thread's share: it knows
// pointers and sizes; never threads, layers or files. All sets give the same bits: the same 16 lanes, the same
// order of operations, fused multiply-adds only where written.
#pragma once
#include <cstdint>

// Activations of 256 columns, int8 in groups of 32. Sums start from what turns unsigned codes into signed ones.
struct alignas(64) ActBlock {
  int8_t values[256];
  float scale[8];         // of a group
  float scaledSum[8];     // scale * sum of the group
  int32_t startQ4_0[8];   // -8 * sum of the group
  int32_t startQ8_0[8];   // -128 * the same
  int32_t startQ6_K[16];  // -32 * sum of 16 values
};

// Key and value rows of one head in a page: half floats [pageTokens][headDim].
struct KvPage {
  const uint16_t* keys;
  const uint16_t* values;
};

constexpr int kPageTokens = 128;
constexpr int kMaxGroup = 16;  // query heads of one key/value head
constexpr int kMaxTopK = 64;

// How a product of few rows fetches weights ahead: every line, 2 KB before its load; or the head of every page, two
// pages before, and the rest is left to the processor, which follows a stream within a page but not into the next.
enum class Fetch { kLines, kPageHeads };

struct Kernels {
  const char* name;
  // x [columns] -> ceil(columns / 256) blocks; the tail is zero.
  void (*quantise)(const float* x, int columns, ActBlock* out);
  // out = x * rsqrt(mean(x^2) + epsilon) * weight; columns a multiple of 16.
  void (*rmsNorm)(const float* x, const float* weight, int columns, float epsilon, float* out);
  // `panels` panels of 16 rows from `first`, for `tokens` quantised rows: out[panel][token][16]. A single token fetches
  // as `fetch` says; with more the same number of bytes from `ahead` are fetched meanwhile: what this thread will most
  // likely read next.
  void (*matmul)(int format, const uint8_t* first, int panels, int columns, const ActBlock* const* x, int tokens,
                 Fetch fetch, const uint8_t* ahead, float* out);
  // Plain rows [row0, row1) of f32, f16 or bf16, over float rows: out[token * outStride + row - row0].
  void (*matmulPlain)(int format, const uint8_t* weights, int columns, int row0, int row1, const float* const* x,
                      int tokens, float* out, int outStride);
  // Norm of one head, then rotation of (i, i + headDim / 2) by the row's cos and sin.
  void (*normRope)(float* head, const float* weight, const float* cos, const float* sin, int headDim, float epsilon);
  void (*storeHalf)(const float* x, int n, uint16_t* out);
  // One row of `group` query heads [group][headDim], already scaled, over `context` tokens: out [group][headDim].
  void (*attend)(const float* q, int group, int headDim, const KvPage* pages, int context, float* out);
  // gate = silu(gate) * up
  void (*siluMultiply)(float* gate, const float* up, int n);
  // y += sum over i of weight[i] * x[i]
  void (*addWeighted)(float* y, const float* const* x, const float* weight, int count, int n);
  // Sums 64-byte words, widest loads: the read bandwidth probe.
  uint64_t (*readAll)(const uint8_t* p, int64_t bytes);
};

// The best set this CPU has, or the named one if it has it; nullptr otherwise.
const Kernels* kernelsFor(const char* name);
// The names of the sets this CPU has, best first, separated by spaces.
const char* kernelNames();
