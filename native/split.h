// Products of floats by products of bfloat16 (fast prefill): each factor is cut into its upper half and what that leaves,
// and of the four products of those all but the least are summed up, which is some 2^-16 of a term from exact.
#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include "gemm.h"

namespace {

constexpr int kSplitRows = 32;  // of the left factor, or columns of the right one, at once

// Both parts of one factor, packed.
struct SplitFactor {
  float *upper, *rest;
};

struct SplitProducts {
  const GemmKernels& products;
  const int depth;

  // Of a factor; and of what a thread needs: rows of the left one, or as many columns as floats.
  int64_t bytes(int rows) const { return 2 * words(rows) * 4; }
  int64_t memoryBytes() const { return std::max<int64_t>(bytes(kSplitRows), 4LL * kSplitRows * depth); }
  SplitFactor factorAt(float* at, int rows) const { return {at, at + words(rows)}; }

  // Columns [first, first + count) of the right factor, a panel of it.
  template <class ColumnOf> void packRight(ColumnOf columnOf, int first, int count, SplitFactor to) const {
    cut(columnOf, count, [&](const float* part, int k, int n, bool upper) {
      float* panel = (upper ? to.upper : to.rest) + static_cast<int64_t>(first) * wordsOf(depth, products.perWord);
      products.packRight({part, 1, kCut}, n, count, panel + wordsOf(k, products.perWord) * products.columns);
    });
  }

  // c [rows][columns], at most kSplitRows of them; `memory` has room for so many, packed.
  void multiply(const float* const* x, int rows, float* memory, SplitFactor right, int columns, float* c) const {
    const int64_t panel = static_cast<int64_t>(products.rows) * wordsOf(depth, products.perWord);
    const SplitFactor left = factorAt(memory, kSplitRows);
    for (int r = 0; r < rows; r += products.rows) {
      const int count = std::min(products.rows, rows - r);
      cut([&](int i) { return x[r + i]; }, count, [&](const float* part, int k, int n, bool upper) {
        float* to = (upper ? left.upper : left.rest) + r / products.rows * panel;
        products.packLeft({part, kCut, 1}, count, n, 1.0f, to + wordsOf(k, products.perWord) * products.rows);
      });
    }
    auto add = [&](const float* a, const float* b, Write write) { products.multiply({a, panel, products.rows}, b, rows, columns, depth, write, c, columns); };
    add(left.upper, right.upper, Write::set);
    add(left.upper, right.rest, Write::add);
    add(left.rest, right.upper, Write::add);
  }

 private:
  int64_t words(int rows) const { return static_cast<int64_t>(roundUp(rows, kSplitRows)) * wordsOf(depth, products.perWord); }

  static constexpr int kCut = 128;  // values of a row at once, which stay in the first cache

  // pack(part [rows][kCut], from where in a row, how many, whether the upper one)
  template <class RowOf, class Pack> void cut(RowOf rowOf, int rows, Pack pack) const {
    alignas(64) float upper[kSplitRows * kCut], rest[kSplitRows * kCut];
    for (int k = 0; k < depth; k += kCut) {
      const int n = std::min(kCut, depth - k);
      for (int r = 0; r < rows; r++) {
        const float* x = rowOf(r) + k;
        float *a = upper + r * kCut, *b = rest + r * kCut;
        for (int i = 0; i < n; i++) {
          a[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(x[i]) & 0xffff0000u);
          b[i] = x[i] - a[i];
        }
      }
      pack(upper, k, n, true), pack(rest, k, n, false);
    }
  }
};

}  // namespace
