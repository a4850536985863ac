// Where the pieces of what flows between an expert's matrices lie.
#pragma once
#include "format.h"
#include "kernels.h"
#include "spans.h"

namespace {

constexpr int kTileRows = 16;

// Where the pieces of expertRows lie for `pairs` pairs of a row and one of its experts.
struct ExpertMemory {
  int64_t out, hidden, acts, bytes;
  ExpertMemory(int64_t pairs, int expertHidden, int columns) {
    out = 0;
    hidden = alignUp(pairs * columns * 4);
    acts = alignUp(hidden + pairs * expertHidden * 4);
    bytes = alignUp(acts + pairs * ceilDiv(expertHidden, kBlock) * static_cast<int64_t>(sizeof(ActBlock)));
  }
};

// Where folded weights are an expert's, a thread takes so many of its rows at once: they and what gate and up make of them fit
// its second cache, and weights are folded for enough rows.
constexpr int kMostFolded = 192;

// What the experts of a row are summed up over at once: so many columns of all rows stay in the second cache.
constexpr int kDownPanels = 16;

// Memory for hidden rows as tiles take them. Experts with rows, and their parts where they have many, begin a tile of rows each.
inline int64_t hiddenBytes(int64_t pairs, int experts, int expertHidden) {
  return (2 * (pairs / kTileRows) + experts) * tiledBytes(expertHidden);
}

// Where a thread's pieces lie for them: rows as tiles take them, a block of gate and of up, and rows on their way into tiles.
struct FoldedMemory {
  int64_t gate, up, rows, bytes;
  explicit FoldedMemory(int columns) {
    gate = kMostFolded / kTileRows * tiledBytes(columns);
    up = gate + kMostFolded * kBlock * 4;
    rows = up + kMostFolded * kBlock * 4;
    bytes = rows + kTileRows * quantisedRowBytes(kBlock);
  }
};

}  // namespace
