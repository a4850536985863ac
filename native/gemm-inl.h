// The kernels of gemm.h over the sixteen lanes of a vec_*.h, which the including file has chosen together with the
// register tile, kTileRows rows of kTileVectors vectors, and the words of gemm_f32-inl.h or gemm_bf16-inl.h.
#pragma once
#include "gemm.h"

namespace {

constexpr int kTileColumns = 16 * kTileVectors;

inline int words(int depth) { return wordsOf(depth, kPerWord); }

void packLeft(Matrix a, int rows, int depth, float scale, float* out) {
  for (int i = 0; i < rows; i += kTileRows, out += static_cast<int64_t>(kTileRows) * words(depth))
    packPanel<kTileRows>(a.data + i * a.row, a.row, a.column, rows - i < kTileRows ? rows - i : kTileRows, depth, scale, out);
}

void packRight(Matrix b, int depth, int columns, float* out) {
  for (int j = 0; j < columns; j += kTileColumns, out += static_cast<int64_t>(kTileColumns) * words(depth))
    packPanel<kTileColumns>(b.data + j * b.column, b.column, b.row, columns - j < kTileColumns ? columns - j : kTileColumns, depth, 1.0f, out);
}

// One register tile: c [kTileRows][stride].
inline void tile(const float* a, int64_t step, const float* b, int steps, Write write, float* c, int64_t stride) {
  VF sum[kTileRows][kTileVectors];
  for (int i = 0; i < kTileRows; i++)
    for (int j = 0; j < kTileVectors; j++) sum[i][j] = zero();
  for (int k = 0; k < steps; k++, a += step, b += kTileColumns) {
    VF right[kTileVectors];
    for (int j = 0; j < kTileVectors; j++) right[j] = load(b + 16 * j);
    for (int i = 0; i < kTileRows; i++) {
      const VF left = set1(a[i]);
      for (int j = 0; j < kTileVectors; j++) sum[i][j] = multiplyAdd(left, right[j], sum[i][j]);
    }
  }
  // Unrolled, or else the sums would leave their registers for this.
  constexpr int n = kTileRows * kTileVectors;
  auto at = [&](int t) { return c + t / kTileVectors * stride + t % kTileVectors * 16; };
  if (write == Write::add) {
#pragma GCC unroll 16
    for (int t = 0; t < n; t++) sum[t / kTileVectors][t % kTileVectors] = add(load(at(t)), sum[t / kTileVectors][t % kTileVectors]);
  }
#pragma GCC unroll 16
  for (int t = 0; t < n; t++) store(at(t), sum[t / kTileVectors][t % kTileVectors]);
}

// A tile of which only a corner is wanted.
void cornerTile(const float* a, int64_t step, const float* b, int steps, int rows, int columns, Write write, float* c, int64_t stride) {
  alignas(64) float whole[kTileRows * kTileColumns];
  tile(a, step, b, steps, Write::set, whole, kTileColumns);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) {
      const float sum = whole[i * kTileColumns + j];
      c[i * stride + j] = write == Write::add ? c[i * stride + j] + sum : sum;
    }
}

void multiply(LeftPanels left, const float* right, int rows, int columns, int depth, Write write, float* c, int64_t stride) {
  const int steps = words(depth);
  for (int i = 0; i < rows; i += kTileRows, left.data += left.panel) {
    const float* b = right;
    for (int j = 0; j < columns; j += kTileColumns, b += static_cast<int64_t>(kTileColumns) * steps) {
      float* at = c + i * stride + j;
      const int m = rows - i, n = columns - j;
      if (m >= kTileRows && n >= kTileColumns) tile(left.data, left.step, b, steps, write, at, stride);
      else cornerTile(left.data, left.step, b, steps, m < kTileRows ? m : kTileRows, n < kTileColumns ? n : kTileColumns, write, at, stride);
    }
  }
}

constexpr GemmKernels gemmKernels() { return {kTileRows, kTileColumns, kPerWord, packLeft, packRight, multiply}; }

}  // namespace
