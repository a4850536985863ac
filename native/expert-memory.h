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

// Where folded weights are an expert's, a thread takes so many of its rows at once: all that flows between gate and down stays in
// its second cache, and weights are folded for enough rows.
constexpr int kMostFolded = 192;

// Where a thread's pieces lie for them: rows as tiles take them, a block of gate and of up, the same in tiles, and rows on
// their way there.
struct FoldedMemory {
  int64_t gate, up, hidden, rows, bytes;
  FoldedMemory(int columns, int expertHidden) {
    gate = kMostFolded / kTileRows * tiledBytes(columns);
    up = gate + kMostFolded * kBlock * 4;
    hidden = up + kMostFolded * kBlock * 4;
    rows = hidden + kMostFolded / kTileRows * tiledBytes(expertHidden);
    bytes = rows + kTileRows * quantisedRowBytes(kBlock);
  }
};

}  // namespace
