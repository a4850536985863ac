// Products of factors of bfloat16 in the tiles of AMX, two tiles of rows by two of columns at a time, as gemm.h packs them.
#pragma once
#include "gemm.h"
#include "tiles_amx.h"

namespace {

constexpr int kTileColumns = 32;

// Tiles 0 to 3 take sums of two tiles of rows and two of columns, 4 and 5 rows of the left factor, 6 and 7 words of the right
// one: each is loaded for two products.
struct PairTiles : TileShapes {
  PairTiles() {
    for (int i = 0; i < 8; i++) shape(i, kTileRows, kTileWords);
  }
};

// c [2 * kTileRows][stride], or its sums in place of zeros, += left * right, the left factor being two panels; both of whole tiles.
// meanwhile() is what is done between products, twice a step: two small bites delay the next tiles less than a large one. The
// right factor is read past the first cache, which holds the left one, sums and what is done meanwhile.
template <class Meanwhile>
inline void pairTile(const float* a, const float* a2, const float* b, int steps, Write write, float* c, int64_t stride, Meanwhile meanwhile) {
  const int64_t line = stride * 4;
  float* c2 = c + kTileRows * stride;
  touch();
  if (write == Write::add) {
    _tile_loadd(0, c, line);
    _tile_loadd(1, c + 16, line);
    _tile_loadd(2, c2, line);
    _tile_loadd(3, c2 + 16, line);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (; steps > 0; steps -= kTileWords) {
    _tile_loadd(4, a, kTileWords * 4);
    _tile_loadd(5, a2, kTileWords * 4);
    _tile_stream_loadd(6, b, kTileColumns * 4);
    _tile_stream_loadd(7, b + 16, kTileColumns * 4);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    touch();
    meanwhile();
    touch();
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    touch();
    meanwhile();
    touch();
    a += kTileRows * kTileWords, a2 += kTileRows * kTileWords, b += kTileWords * kTileColumns;
  }
  _tile_stored(0, c, line);
  _tile_stored(1, c + 16, line);
  _tile_stored(2, c2, line);
  _tile_stored(3, c2 + 16, line);
  touch();
}

}  // namespace
