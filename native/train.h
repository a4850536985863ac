// The training ops over whole tensors: what is cut into tasks, in which memory, on the pool's threads. Knows rows and
// columns; never JavaScript, parameters' names or layers.
#pragma once
#include <cstdint>
#include <functional>
#include "kernels.h"
#include "memory.h"
#include "pool.h"
#include "train_kernels.h"

// c [m][stride] = or += a b
struct Product {
  Matrix a, b;
  float* c;
  int64_t stride;
  int m, n, k;
};

struct Rows {
  int rows, columns;
  float epsilon;
};

// Heads of a row; positions[row] is the row of cos and sin, [positions][headDim / 2].
struct Heads {
  int rows, heads, headDim;
  float epsilon;
  const float *weight, *cos, *sin;
  const int32_t* positions;
};

// Sequence i is the rows starts[i] to starts[i + 1].
struct Attention {
  int heads, kvHeads, headDim;
  const int32_t* starts;
  int sequences;
  const float *q, *k, *v;

  int rows() const { return starts[sequences]; }
};

// y[row] is made of the rows places[row * topK + j] of x.
struct Mixture {
  int rows, topK, columns;
  const int32_t* places;
  const float* weights;  // [rows][topK]; none: all are 1
};

// Whether a product's factors may be rounded, where that is faster.
enum class Factors { rounded, exact };

class Trainer {
 public:
  // `train` is of the same instruction set.
  Trainer(int threads, const Kernels* kernels, const TrainKernels* train)
      : kernels(kernels), train(train), exact(trainKernelsFor(kernels->name)), pool(threads) {}

  // Runs `job` on the pool's leading thread and waits for it; false when memory was missing.
  bool call(const std::function<bool()>& job);

  // The rest is to be called from such a job.
  bool products(const Product* list, int count, Write write, Factors factors);
  bool rmsNorm(Rows shape, const float* x, const float* weight, float* y);
  bool rmsNormBack(Rows shape, const float* dy, const float* x, const float* weight, float* dx, float* dWeight);
  bool normRope(const Heads& heads, const float* x, float* y);
  bool normRopeBack(const Heads& heads, const float* dy, const float* x, float* dx, float* dWeight);
  bool attend(const Attention& attention, float* out, float* lse);
  bool attendBack(const Attention& attention, const float* dOut, const float* out, const float* lse, float* dq, float* dk, float* dv);
  bool siluMultiply(int64_t n, const float* gate, const float* up, float* out);
  bool siluMultiplyBack(int64_t n, const float* dOut, const float* gate, const float* up, float* dGate, float* dUp);
  bool gather(int rows, int columns, const int32_t* from, const float* x, float* out);
  bool scatter(int rows, int columns, const int32_t* to, const float* x, float* table);
  bool mix(const Mixture& mixture, const float* x, float* y);
  bool mixBack(const Mixture& mixture, const float* dy, const float* x, float* dx, float* dWeights);
  bool crossEntropy(int rows, int vocab, const int32_t* targets, const float* weights, float* logits, float* losses);
  bool divergence(int rows, int vocab, float mix, const float* teacher, const float* weights, float* logits, float* losses);
  bool adamW(int64_t n, const AdamW& rule, const float* gradient, float* values, float* first, float* second);
  // One sum for every kSumBlock values.
  bool sumsOfSquares(int64_t n, const float* x, double* sums);

  const Kernels* const kernels;
  const TrainKernels *const train, *const exact;

 private:
  // A memory of the trainer's own, of at least so many floats; null without.
  float* take(Memory& memory, int64_t floats);
  // Sums blocks of rows into partial sums and those into dWeight, in an order that knows no threads.
  template <class Row> bool sumByBlocks(int rows, int columns, float* dWeight, Row row);
  bool packHeads(const Attention& attention, const float* x, void (*pack)(const float*, HeadShape, float*), float* out);
  HeadShape shapeOf(const Attention& attention, int sequence) const;
  int longest(const Attention& attention) const;

  Memory packed_, scratch_, partial_;
  Pool pool;  // last, so that its threads end before what they use
};

constexpr int kSumBlock = 1 << 16;
