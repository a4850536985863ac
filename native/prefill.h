// Attention of many rows: successive rows of one sequence walk its pages together, and a page is unpacked once for all.
#pragma once
#include <vector>
#include "engine.h"

// Fewer rows of a sequence are read one by one: unpacking would cost more than it spares.
constexpr int kFewestBlockRows = 4;

struct RowBlock {
  const Sequence* sequence;
  int first, rows;  // of the step
};

// All rows of a step in blocks; none where no sequence has rows for one. Those of a sequence with fewer than
// kFewestBlockRows are together, all others have at least so many. `packedPages`: how many are packed at once, 0 where rows are not
// read by products of packed factors.
std::vector<RowBlock> rowBlocks(const Step& step, int kvHeads, int threads, int packedPages);

// Memory that attendBlock needs.
int64_t rowBlockBytes(int group, int headDim, int packedPages);

// One key/value head's part of kAttend, of which `a` are the words, for one block.
void attendBlock(const Engine& engine, const Step& step, const int32_t* a, const RowBlock& block, int head, uint8_t* memory);
