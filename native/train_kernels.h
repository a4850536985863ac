// The table of training kernels that each instruction set fills in, beside kernels.h: one thread's share, pointers
// and sizes. Lengths are multiples of 16 unless a line says otherwise. All sets give the same bits but the one whose
// products round their factors to bfloat16.
#pragma once
#include <cstdint>
#include "gemm.h"

// One head of one sequence; rows are `stride` floats apart, those of keys and values `kvStride`.
struct HeadShape {
  int length, headDim;
  int64_t stride, kvStride;
  float scale;  // of the scores
};

// Queries and keys are taken in blocks of this many.
constexpr int kAttendBlock = 64;

struct TrainKernels {
  const char* name;
  GemmKernels gemm;
  // y = or += scale * x
  void (*addScaled)(float scale, const float* x, int n, Write write, float* y);
  float (*dot)(const float* a, const float* b, int n);
  double (*sumOfSquares)(const float* x, int n);
  // dx += the gradient through y = x * rsqrt(mean(x^2) + epsilon) * weight, dWeight += that of the weight.
  void (*rmsNormBack)(const float* dy, const float* x, const float* weight, int n, float epsilon, float* dx, float* dWeight);
  // Rotates the pairs (i, i + headDim / 2) back by the angles of cos and sin.
  void (*rotateBack)(const float* dy, const float* cos, const float* sin, int headDim, float* out);
  // out = silu(gate) * up
  void (*siluMultiply)(const float* gate, const float* up, int n, float* out);
  void (*siluMultiplyBack)(const float* dOut, const float* gate, const float* up, int n, float* dGate, float* dUp);
  // Logits of any length become weight * (softmax - one-hot); returns weight * -log softmax[target].
  float (*crossEntropy)(float* logits, int n, int target, float weight);
  // Logits become the gradient of weight * ((1 - mix) KL(teacher || student) + mix KL(student || teacher)), which is
  // returned; `scratch` holds n floats.
  float (*divergence)(float* logits, const float* teacher, int n, float weight, float mix, float* scratch);
  void (*adamW)(float* values, const float* gradient, float* first, float* second, int n, const struct AdamW& rule);

  // Blocks of keys and values as right factors, one after the other, attendBlockFloats apart.
  void (*packAcross)(const float* x, HeadShape shape, float* out);  // [headDim][keys]
  void (*packAlong)(const float* x, HeadShape shape, float* out);   // [keys][headDim]
  // Causal softmax attention of the block of queries that begins at `first`; lse: one value each, `lseStride` apart.
  void (*attend)(const float* q, const float* keys, const float* values, HeadShape shape, int first, float* out,
                 float* lse, int lseStride, float* scratch);
  // All gradients of one query head; `q`, `out` and `dOut` are this head's, dKeys and dValues its share [length][stride].
  void (*attendBack)(const struct AttendBack& head, HeadShape shape, float* scratch);
};

// Decoupled decay (Loshchilov and Hutter 2019); the corrections are 1 - beta^step.
struct AdamW {
  float learningRate, beta1, beta2, epsilon, decay, correction1, correction2, gradientScale;
};

struct AttendBack {
  const float *q, *out, *dOut, *lse;
  int lseStride;
  const float *keysAcross, *keysAlong, *valuesAcross;
  float *dq, *dKeys, *dValues;
};

// Floats of one packed block, of attend's scratch and of attendBack's.
static inline int64_t attendBlockFloats(int headDim) { return static_cast<int64_t>(kAttendBlock) * roundUp(headDim, 64); }
static inline int64_t attendScratch(int headDim) { return 2 * attendBlockFloats(headDim) + 2 * kAttendBlock * kAttendBlock; }
static inline int64_t attendBackScratch(int length, int headDim) {
  const int blocks = (length + kAttendBlock - 1) / kAttendBlock;
  return (4 * blocks + 2) * attendBlockFloats(headDim) + 3 * kAttendBlock * kAttendBlock + roundUp(length, 16);
}

// The set that kernelsFor(name) chooses.
const TrainKernels* trainKernelsFor(const char* name);
// The same with factors of products rounded to bfloat16; nullptr where it cannot.
const TrainKernels* bfloatKernelsFor(const char* name);
// The faster of both on this CPU, as tried out.
const TrainKernels* fastestKernelsFor(const char* name);
// Whether this CPU multiplies pairs of bfloat16 in the lanes of AVX-512.
bool hasBfloatProducts();
