// Packed blocks over the lanes of a vec_*.h, unpacked once for many tokens: what the tiles of vectors and of AMX share.
#pragma once
#include "codes-inl.h"
#include "kernels.h"

namespace {

// One block of a panel: word w of all rows, and what the groups' sums are scaled by.
struct alignas(64) Unpacked {
  int32_t codes[kBlock / 4][kPanelRows];
  float scale[16][kPanelRows], min[16][kPanelRows];
};

template <int format, class Turn> inline void unpack(const uint8_t* block, Turn turn, Unpacked& out) {
  for (int p = 0; p < kBlock / 8; p++) {
    const Codes codes = codesOf<format>(block, p);
    storeInt(out.codes[2 * p], asInts(turn(codes.even)));
    storeInt(out.codes[2 * p + 1], asInts(turn(codes.odd)));
  }
  for (int g = 0; g < kBlock / kGroup<format>; g++) {
    const Scales scales = scalesOf<format>(block, g);
    store(out.scale[g], scales.scale);
    if constexpr (format == Q4_K || format == Q5_K) store(out.min[g], scales.min);
  }
}

constexpr int kMostPanels = 4;  // whose unpacked blocks share the first cache with the tokens

// What is read next, fetched meanwhile: a little at a time, for at once it would stand in the way of the loads.
struct Ahead {
  const uint8_t *at = nullptr, *end = nullptr;

  void fetch(int lines) {
    for (; lines > 0 && at < end; lines--, at += 64) prefetch(at);
  }
  // Into the second cache.
  void fetchFar(int lines) {
    for (; lines > 0 && at < end; lines--, at += 64) prefetchFar(at);
  }
};

// A byte of each page is loaded: a prefetch would be dropped where the page's address must first be looked up.
inline void touchPages(const uint8_t* at, const uint8_t* end) {
  for (; at < end; at += 4096) static_cast<void>(*static_cast<const volatile uint8_t*>(at));
}

// fn(unpacked panels, block, first token, tokens, ahead) over blocks in order and tiles of at most `most` tokens; codes are
// as `turn` leaves them.
template <int format, class Turn, class Fn>
inline void overBlocks(const uint8_t* first, int panels, int columns, int tokens, int most, const uint8_t* next, Turn turn, Fn fn) {
  constexpr int bytes = kGeometry[format].bytes;
  Unpacked weights[kMostPanels];
  const int blocks = (columns + kBlock - 1) / kBlock, tiles = (tokens + most - 1) / most;
  Ahead ahead{next, next + static_cast<int64_t>(panels) * blocks * bytes};
  touchPages(ahead.at, ahead.end);
  for (int b = 0; b < blocks; b++) {
    for (int p = 0; p < panels; p++) unpack<format>(first + (static_cast<int64_t>(p) * blocks + b) * bytes, turn, weights[p]);
    for (int i = 0; i < tiles; i++) {
      // As even as can be: a tile takes about as long as it has tokens.
      const int t0 = tokens * i / tiles;
      fn(weights, b, t0, tokens * (i + 1) / tiles - t0, ahead);
    }
  }
}

}  // namespace
