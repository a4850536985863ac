// Products of float32 matrices as one thread sees them: panels packed for a register tile, and a block of the result.
// Every element is summed over the depth in ascending order by fused multiply-adds, whatever the tile's shape, so all
// instruction sets give the same bits.
#pragma once
#include <cstdint>

// Element (i, j) is data[i * row + j * column]; one of the strides is 1.
struct Matrix {
  const float* data;
  int64_t row, column;
};

// Panels of the left factor: value i at depth k of panel p is data[p * panel + k * step + i].
struct LeftPanels {
  const float* data;
  int64_t panel, step;
};

enum class Write { set, add };

struct GemmKernels {
  int rows, columns;  // of the register tile
  // Panels of `rows` rows, [panel][depth][rows], filled up with zeros; values are multiplied by `scale`.
  void (*packLeft)(Matrix a, int rows, int depth, float scale, float* out);
  // Panels of `columns` columns, [panel][depth][columns], filled up with zeros.
  void (*packRight)(Matrix b, int depth, int columns, float* out);
  // c [rows][stride] = or += left * right
  void (*multiply)(LeftPanels left, const float* right, int rows, int columns, int depth, Write write, float* c, int64_t stride);
};

// Depth of one pass over packed panels: a panel of the left factor then fits the first cache, a block of the right
// one the second. Passes are added up in order, so this is part of the order of summation.
constexpr int kDepth = 256;

// Inline code of this header is each including file's own: files are compiled for different instruction sets.
static inline Matrix from(Matrix m, int64_t i, int64_t j) { return {m.data + i * m.row + j * m.column, m.row, m.column}; }
static inline int roundUp(int n, int unit) { return (n + unit - 1) / unit * unit; }
