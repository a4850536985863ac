// Causal attention and its gradients by blocks of kAttendBlock queries and keys, on the tiles of gemm-inl.h: scores of
// more than a block are never kept (Dao et al. 2022).
#pragma once
#include "exponential-inl.h"
#include "train_kernels.h"

namespace {

constexpr float kMaskedScore = -1e30f;

inline int countFrom(int first, int length) { return length - first < kAttendBlock ? length - first : kAttendBlock; }
inline LeftPanels packedLeft(const float* a, int depth) { return {a, static_cast<int64_t>(kTileRows) * words(depth), kTileRows}; }

// The transposed of a block of scores [rows][kAttendBlock] as a left factor; whole values serve as they lie.
inline LeftPanels transposedLeft(const float* scores, int rows, int columns, float* packed) {
  if constexpr (kPerWord == 1) return {scores, kTileRows, kAttendBlock};
  packLeft({scores, 1, kAttendBlock}, columns, rows, 1.0f, packed);
  return packedLeft(packed, rows);
}

void packAcross(const float* x, HeadShape shape, float* out) {
  for (int first = 0; first < shape.length; first += kAttendBlock, out += attendBlockFloats(shape.headDim))
    packRight({x + first * shape.kvStride, 1, shape.kvStride}, shape.headDim, countFrom(first, shape.length), out);
}

void packAlong(const float* x, HeadShape shape, float* out) {
  for (int first = 0; first < shape.length; first += kAttendBlock, out += attendBlockFloats(shape.headDim))
    packRight({x + first * shape.kvStride, shape.kvStride, 1}, countFrom(first, shape.length), shape.headDim, out);
}

// Keys that query `row` of a block may see, of the `keys` of a block that begins `ahead` before the queries'.
inline int visible(int row, int ahead, int keys) { return row + ahead + 1 < keys ? row + ahead + 1 : keys; }

// scores = e^(scores - shift) where visible, else 0; returns their sum.
inline float exponentials(float* scores, int seen, int keys, float shift) {
  const VF s = set1(shift);
  for (int t = 0; t < seen; t += 16) store(scores + t, exponential(sub(load(scores + t), s)));
  for (int t = seen; t < roundUp(keys, 16); t++) scores[t] = 0;
  VF sum = zero();
  for (int t = 0; t < keys; t += 16) sum = add(sum, load(scores + t));
  return sumLanes(sum);
}

inline void scaleRow(float* x, int n, float factor) {
  const VF f = set1(factor);
  for (int i = 0; i < n; i += 16) store(x + i, mul(load(x + i), f));
}

// Online softmax, block by block of keys in order (Milakov and Gimelshein 2018).
void attend(const float* q, const float* keys, const float* values, HeadShape shape, int first, float* out, float* lse,
            int lseStride, float* scratch) {
  const int d = shape.headDim, rows = countFrom(first, shape.length);
  float *left = scratch, *sums = left + attendBlockFloats(d), *scores = sums + attendBlockFloats(d);
  float* weights = scores + kAttendBlock * kAttendBlock;
  float largest[kAttendBlock], total[kAttendBlock];
  for (int i = 0; i < rows; i++) largest[i] = kMaskedScore, total[i] = 0;
  for (int i = 0; i < rows * d; i++) sums[i] = 0;
  packLeft({q + first * shape.stride, shape.stride, 1}, rows, d, shape.scale, left);
  for (int from = 0; from <= first; from += kAttendBlock, keys += attendBlockFloats(d), values += attendBlockFloats(d)) {
    const int n = countFrom(from, shape.length);
    multiply(packedLeft(left, d), keys, rows, n, d, Write::set, scores, kAttendBlock);
    for (int i = 0; i < rows; i++) {
      float* s = scores + i * kAttendBlock;
      const int seen = visible(i, first - from, n);
      for (int t = seen; t < roundUp(n, 16); t++) s[t] = kMaskedScore;
      VF m = set1(largest[i]);
      for (int t = 0; t < n; t += 16) m = maxOf(m, load(s + t));
      const float next = maxLanes(m);
      if (next != largest[i]) {
        alignas(64) float shrink[16];
        store(shrink, exponential(set1(largest[i] - next)));
        total[i] *= shrink[0];
        scaleRow(sums + i * d, d, shrink[0]);
        largest[i] = next;
      }
      total[i] += exponentials(s, seen, n, next);
    }
    packLeft({scores, kAttendBlock, 1}, rows, n, 1.0f, weights);
    multiply(packedLeft(weights, n), values, rows, d, n, Write::add, sums, d);
  }
  for (int i = 0; i < rows; i++) {
    addScaled(1.0f / total[i], sums + i * d, d, Write::set, out + (first + i) * shape.stride);
    lse[(first + i) * lseStride] = largest[i] + __builtin_logf(total[i]);
  }
}

// What a block of queries brings to every block of keys.
struct QueryBlock {
  float *q, *dOut;            // left factors [queries][headDim]
  float *qRight, *dOutRight;  // right factors [queries][headDim]
};

inline QueryBlock queryBlock(float* packed, int headDim, int block) {
  const int64_t size = attendBlockFloats(headDim);
  float* at = packed + 4 * block * size;
  return {at, at + size, at + 2 * size, at + 3 * size};
}

inline void packQueries(const AttendBack& head, HeadShape shape, int first, QueryBlock to) {
  const int d = shape.headDim, rows = countFrom(first, shape.length);
  const Matrix q{head.q + first * shape.stride, shape.stride, 1}, dOut{head.dOut + first * shape.stride, shape.stride, 1};
  packLeft(q, rows, d, shape.scale, to.q);
  packLeft(dOut, rows, d, 1.0f, to.dOut);
  packRight(q, rows, d, to.qRight);
  packRight(dOut, rows, d, to.dOutRight);
}

// With P the weights and D = rowsum(dOut * out): dS = scale P (dOut V^T - D).
void attendBack(const AttendBack& head, HeadShape shape, float* scratch) {
  const int d = shape.headDim, blocks = (shape.length + kAttendBlock - 1) / kAttendBlock;
  const int64_t size = attendBlockFloats(d);
  float *packed = scratch, *dKeys = packed + 4 * blocks * size, *dValues = dKeys + size;
  float *weights = dValues + size, *dScores = weights + kAttendBlock * kAttendBlock, *left = dScores + kAttendBlock * kAttendBlock;
  float* outer = left + kAttendBlock * kAttendBlock;  // D
  for (int b = 0; b < blocks; b++) packQueries(head, shape, b * kAttendBlock, queryBlock(packed, d, b));
  for (int i = 0; i < shape.length; i++) outer[i] = dotOf(head.dOut + i * shape.stride, head.out + i * shape.stride, d);
  for (int b = 0; b < blocks; b++) {
    const int from = b * kAttendBlock, n = countFrom(from, shape.length);
    for (int c = b; c < blocks; c++) {
      const int first = c * kAttendBlock, rows = countFrom(first, shape.length);
      const QueryBlock query = queryBlock(packed, d, c);
      multiply(packedLeft(query.q, d), head.keysAcross + b * size, rows, n, d, Write::set, weights, kAttendBlock);
      multiply(packedLeft(query.dOut, d), head.valuesAcross + b * size, rows, n, d, Write::set, dScores, kAttendBlock);
      for (int i = 0; i < rows; i++) {
        float *p = weights + i * kAttendBlock, *s = dScores + i * kAttendBlock;
        exponentials(p, visible(i, first - from, n), n, head.lse[(first + i) * head.lseStride]);
        const VF mean = set1(outer[first + i]), scale = set1(shape.scale);
        for (int t = 0; t < n; t += 16) store(s + t, mul(mul(load(p + t), sub(load(s + t), mean)), scale));
      }
      const Write write = c == b ? Write::set : Write::add;
      multiply(transposedLeft(weights, rows, n, left), query.dOutRight, n, d, rows, write, dValues, d);
      multiply(transposedLeft(dScores, rows, n, left), query.qRight, n, d, rows, write, dKeys, d);
      packLeft({dScores, kAttendBlock, 1}, rows, n, 1.0f, left);
      multiply(packedLeft(left, n), head.keysAlong + b * size, rows, d, n, b == 0 ? Write::set : Write::add,
               head.dq + first * shape.stride, shape.stride);
    }
    for (int i = 0; i < n; i++) {
      addScaled(1.0f, dKeys + i * d, d, Write::set, head.dKeys + (from + i) * shape.stride);
      addScaled(1.0f, dValues + i * d, d, Write::set, head.dValues + (from + i) * shape.stride);
    }
  }
}

constexpr TrainKernels trainKernels(const char* name) {
  return {name, gemmKernels(), addScaled, dotOf, sumOfSquares, rmsNormBack, rotateBack, siluMultiply, siluMultiplyBack,
          crossEntropy, divergence, adamW, packAcross, packAlong, attend, attendBack};
}

}  // namespace
