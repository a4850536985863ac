// The tiles of AMX: what a thread says of their shapes, before it uses them and when it has done so. The macros behind
// the intrinsics paste a tile's number into the instruction, and do not all tell the compiler what memory they touch.
#pragma once
#include <immintrin.h>
#include <cstdint>
#ifdef A3B_SOFT_TILES
#include "tiles_soft.h"
#endif

namespace {

constexpr int kTileRows = 16, kTileWords = 16;

struct alignas(64) TileShapes {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {};
  uint8_t rows[16] = {};

  // Of so many words of four bytes a row.
  void shape(int tile, int numRows, int words) {
    rows[tile] = static_cast<uint8_t>(numRows);
    rowBytes[tile] = static_cast<uint16_t>(words * 4);
  }
};
static_assert(sizeof(TileShapes) == 64);

// All that was written before can be loaded by tiles, and all that they stored be read.
inline void touch() { asm volatile("" ::: "memory"); }

inline void configure(const TileShapes& shapes) {
  touch();
  _tile_loadconfig(&shapes);
}

inline void release() {
  touch();
  _tile_release();
}

}  // namespace
