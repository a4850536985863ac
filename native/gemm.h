// Products of float32 matrices as one thread sees them: panels packed for a register tile, and a block of the result.
// Every element is summed over the depth in ascending order in float32, whatever the tile's shape, by fused
// multiply-adds of the values as they are, so that all instruction sets give the same bits, or two at a time of the
// values rounded to bfloat16. Packed values come in words of 32 bits, handed about as float: one value, or those of
// two successive depths.
#pragma once
#include <cstdint>

// Element (i, j) is data[i * row + j * column]; one of the strides is 1.
struct Matrix {
  const float* data;
  int64_t row, column;
};

// Panels of the left factor: row i at word k of the depth of panel p is data[p * panel + k * step + i].
struct LeftPanels {
  const float* data;
  int64_t panel, step;
};

enum class Write { set, add };

struct GemmKernels {
  int rows, columns;  // of the register tile
  int perWord;        // values in a word
  // Panels of `rows` rows, [panel][words][rows], filled up with zeros; values are multiplied by `scale`.
  void (*packLeft)(Matrix a, int rows, int depth, float scale, float* out);
  // Panels of `columns` columns, [panel][words][columns], filled up with zeros.
  void (*packRight)(Matrix b, int depth, int columns, float* out);
  // c [rows][stride] = or += left * right
  void (*multiply)(LeftPanels left, const float* right, int rows, int columns, int depth, Write write, float* c, int64_t stride);
};

// Words of one pass over packed panels: a panel of the left factor then fits the first cache, a block of the right
// one the second. Passes are added up in order, so this is part of the order of summation.
constexpr int kDepth = 256;

// Inline code of this header is each including file's own: files are compiled for different instruction sets.
static inline Matrix from(Matrix m, int64_t i, int64_t j) { return {m.data + i * m.row + j * m.column, m.row, m.column}; }
static inline int wordsOf(int depth, int perWord) { return (depth + perWord - 1) / perWord; }
static inline int roundUp(int n, int unit) { return (n + unit - 1) / unit * unit; }
