// The kernels of gemm.h over the sixteen lanes of a vec_*.h, which the including file has chosen together with the
// register tile: kTileRows rows of kTileVectors vectors.
#pragma once
#include "gemm.h"

namespace {

constexpr int kTileColumns = 16 * kTileVectors;

// One panel of `width` lines, `count` of them there, `depth` deep.
template <int width> inline void packPanel(const float* from, int64_t line, int64_t step, int count, int depth, float scale, float* out) {
  int k = 0;
  if (line == 1 && count == width)
    for (; k < depth; k++) copyScaled<width>(from + k * step, scale, out + k * width);
  if (step == 1 && count == width && width % 8 == 0)
    for (; k + 8 <= depth; k += 8)
      for (int i = 0; i < width; i += 8) transpose8(from + i * line + k, line, scale, out + k * width + i, width);
  for (; k < depth; k++)
    for (int i = 0; i < width; i++) out[k * width + i] = i < count ? from[i * line + k * step] * scale : 0.0f;
}

void packLeft(Matrix a, int rows, int depth, float scale, float* out) {
  for (int i = 0; i < rows; i += kTileRows, out += static_cast<int64_t>(kTileRows) * depth)
    packPanel<kTileRows>(a.data + i * a.row, a.row, a.column, rows - i < kTileRows ? rows - i : kTileRows, depth, scale, out);
}

void packRight(Matrix b, int depth, int columns, float* out) {
  for (int j = 0; j < columns; j += kTileColumns, out += static_cast<int64_t>(kTileColumns) * depth)
    packPanel<kTileColumns>(b.data + j * b.column, b.column, b.row, columns - j < kTileColumns ? columns - j : kTileColumns, depth, 1.0f, out);
}

// One register tile: c [kTileRows][stride].
inline void tile(const float* a, int64_t step, const float* b, int depth, Write write, float* c, int64_t stride) {
  VF sum[kTileRows][kTileVectors];
  for (int i = 0; i < kTileRows; i++)
    for (int j = 0; j < kTileVectors; j++) sum[i][j] = zero();
  for (int k = 0; k < depth; k++, a += step, b += kTileColumns) {
    VF right[kTileVectors];
    for (int j = 0; j < kTileVectors; j++) right[j] = load(b + 16 * j);
    for (int i = 0; i < kTileRows; i++) {
      const VF left = set1(a[i]);
      for (int j = 0; j < kTileVectors; j++) sum[i][j] = fma(left, right[j], sum[i][j]);
    }
  }
  for (int i = 0; i < kTileRows; i++)
    for (int j = 0; j < kTileVectors; j++) {
      float* at = c + i * stride + 16 * j;
      store(at, write == Write::add ? add(load(at), sum[i][j]) : sum[i][j]);
    }
}

// A tile of which only a corner is wanted.
void cornerTile(const float* a, int64_t step, const float* b, int depth, int rows, int columns, Write write, float* c, int64_t stride) {
  alignas(64) float whole[kTileRows * kTileColumns];
  tile(a, step, b, depth, Write::set, whole, kTileColumns);
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) {
      const float sum = whole[i * kTileColumns + j];
      c[i * stride + j] = write == Write::add ? c[i * stride + j] + sum : sum;
    }
}

void multiply(LeftPanels left, const float* right, int rows, int columns, int depth, Write write, float* c, int64_t stride) {
  for (int i = 0; i < rows; i += kTileRows, left.data += left.panel) {
    const float* b = right;
    for (int j = 0; j < columns; j += kTileColumns, b += static_cast<int64_t>(kTileColumns) * depth) {
      float* at = c + i * stride + j;
      const int m = rows - i, n = columns - j;
      if (m >= kTileRows && n >= kTileColumns) tile(left.data, left.step, b, depth, write, at, stride);
      else cornerTile(left.data, left.step, b, depth, m < kTileRows ? m : kTileRows, n < kTileColumns ? n : kTileColumns, write, at, stride);
    }
  }
}

constexpr GemmKernels gemmKernels() { return {kTileRows, kTileColumns, packLeft, packRight, multiply}; }

}  // namespace
