// The kernels of gemm.h in the tiles of AMX, on factors rounded to bfloat16. A word of a left panel lies with its row:
// [words / 16][rows][16], the last of them as short as the depth leaves it.
#pragma once
#include "gemm.h"
#include "gemm_bf16-inl.h"
#include "pairs_amx-inl.h"

namespace {

inline int words(int depth) { return wordsOf(depth, kPerWord); }
inline int least(int a, int b) { return a < b ? a : b; }

// One tile of the left factor, any strides: [words][16] turned to [16][words].
void packTurned(Matrix a, int rows, int depth, float scale, float* out) {
  alignas(64) float turned[kTileWords * kTileRows];
  const int n = words(depth);
  packPanel<kTileRows>(a.data, a.row, a.column, rows, depth, scale, turned);
  for (int r = 0; r < kTileRows; r++)
    for (int k = 0; k < n; k++) out[r * n + k] = turned[k * kTileRows + r];
}

// The same of whole rows.
inline void packRows(Matrix a, int rows, float scale, float* out) {
  const VF s = set1(scale);
  for (int r = 0; r < kTileRows; r++) {
    const float* from = a.data + r * a.row;
    const __m512i both = r < rows ? __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(mul(load(from + 16), s), mul(load(from), s))) : zeroInt();
    _mm512_storeu_si512(out + r * kTileWords, both);
  }
}

void packLeft(Matrix a, int rows, int depth, float scale, float* out) {
  constexpr int each = kTileWords * kPerWord;
  for (int i = 0; i < rows; i += kTileRows)
    for (int k = 0; k < depth; k += each) {
      const int m = least(kTileRows, rows - i), n = least(each, depth - k);
      if (a.column == 1 && n == each) packRows(from(a, i, k), m, scale, out);
      else packTurned(from(a, i, k), m, n, scale, out);
      out += static_cast<int64_t>(kTileRows) * words(n);
    }
}

void packRight(Matrix b, int depth, int columns, float* out) {
  for (int j = 0; j < columns; j += kTileColumns, out += static_cast<int64_t>(kTileColumns) * words(depth))
    packPanel<kTileColumns>(b.data + j * b.column, b.column, b.row, least(kTileColumns, columns - j), depth, 1.0f, out);
}

// Tiles 0 and 1 take sums, 2 rows of the left factor, 3 and 4 words of the right one; 5, 6 and 7 what is left of the
// depth. Their numbers are part of the instructions.
struct ProductTiles : TileShapes {
  ProductTiles(int rows, int rest) {
    for (int i = 0; i < 2; i++) shape(i, rows, kTileWords);
    shape(2, rows, kTileWords);
    for (int i = 3; i < 5; i++) shape(i, kTileWords, 16);
    if (rest == 0) return;
    shape(5, rows, rest);
    for (int i = 6; i < 8; i++) shape(i, rest, 16);
  }
};

// c [rows][stride], or its sums in place of zeros, += left * right: two tiles side by side.
inline void tile(const float* a, const float* b, int steps, Write write, float* c, int64_t stride) {
  const int64_t line = stride * 4;
  if (write == Write::add) {
    _tile_loadd(0, c, line);
    _tile_loadd(1, c + 16, line);
  } else {
    _tile_zero(0);
    _tile_zero(1);
  }
  for (; steps >= kTileWords; steps -= kTileWords, a += kTileRows * kTileWords, b += kTileWords * kTileColumns) {
    _tile_loadd(2, a, kTileWords * 4);
    _tile_loadd(3, b, kTileColumns * 4);
    _tile_dpbf16ps(0, 2, 3);
    _tile_loadd(4, b + 16, kTileColumns * 4);
    _tile_dpbf16ps(1, 2, 4);
  }
  if (steps > 0) {
    _tile_loadd(5, a, steps * 4);
    _tile_loadd(6, b, kTileColumns * 4);
    _tile_dpbf16ps(0, 5, 6);
    _tile_loadd(7, b + 16, kTileColumns * 4);
    _tile_dpbf16ps(1, 5, 7);
  }
  _tile_stored(0, c, line);
  _tile_stored(1, c + 16, line);
}

// Rows in pairs of tiles, of which all is whole; how many rows these are.
int multiplyPairs(LeftPanels left, const float* right, int rows, int columns, int steps, Write write, float* c, int64_t stride) {
  if (rows < 2 * kTileRows || columns % kTileColumns != 0 || steps % kTileWords != 0) return 0;
  configure(PairTiles());
  int i = 0;
  for (; i + 2 * kTileRows <= rows; i += 2 * kTileRows, left.data += 2 * left.panel)
    for (int j = 0; j < columns; j += kTileColumns)
      pairTile(left.data, left.data + left.panel, right + static_cast<int64_t>(j) * steps, steps, write, c + i * stride + j, stride, [] {});
  release();
  return i;
}

void multiply(LeftPanels left, const float* right, int rows, int columns, int depth, Write write, float* c, int64_t stride) {
  alignas(64) float corner[kTileRows * kTileColumns];
  const int steps = words(depth), paired = multiplyPairs(left, right, rows, columns, steps, write, c, stride);
  left.data += paired / kTileRows * left.panel;
  c += paired * stride;
  rows -= paired;
  if (rows == 0) return;
  const int high = least(kTileRows, rows);
  const ProductTiles shapes(high, steps % kTileWords);
  configure(shapes);
  for (int i = 0; i < rows; i += kTileRows, left.data += left.panel)
    for (int j = 0; j < columns; j += kTileColumns) {
      const float* b = right + static_cast<int64_t>(j) * steps;
      float* at = c + i * stride + j;
      const int m = least(high, rows - i), n = least(kTileColumns, columns - j);
      if (m == high && n == kTileColumns) {
        tile(left.data, b, steps, write, at, stride);
        continue;
      }
      tile(left.data, b, steps, Write::set, corner, kTileColumns);
      touch();
      for (int r = 0; r < m; r++)
        for (int t = 0; t < n; t++) at[r * stride + t] = corner[r * kTileColumns + t] + (write == Write::add ? at[r * stride + t] : 0.0f);
    }
  release();
}

constexpr GemmKernels gemmKernels() { return {kTileRows, kTileColumns, kPerWord, packLeft, packRight, multiply}; }

}  // namespace
