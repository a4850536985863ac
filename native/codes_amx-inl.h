// How pages of codes are read in the tiles of AMX: numbers of 16 bits, queries and weights, as two signed bytes each in rows
// of their own, so that sums of products with codes are the whole numbers that the vector kernels get, and all else is
// theirs. Of heads with 128 channels, of which no more than eight share a key.
#pragma once
#include "kv-inl.h"
#include "scan-inl.h"
#include "tiles_amx.h"

namespace {

constexpr int kTileChunks = 8, kTileWords = 16, kTileHeads = 8;
constexpr int kTileHeadDim = kTileChunks * 16;
constexpr int kTileInts = kTileWords * 16;
constexpr int kDepthTiles = 2;  // of 64 products: all channels of a key, all tokens of a page

inline bool fitsTiles(int group, int headDim) { return headDim == kTileHeadDim && group <= kTileHeads; }

// Tiles 0 and 1 take sums, 2 and 3, or 4 and 5, are left factors of `rows` rows, 6 and 7 codes.
struct CodeTiles : TileShapes {
  explicit CodeTiles(int rows) {
    for (int i = 0; i < 6; i++) shape(i, rows, kTileWords);
    for (int i = 6; i < 8; i++) shape(i, kTileWords, kTileWords);
  }
};

// Codes of two products, [kDepthTiles * 16][16][4] each.
struct alignas(64) TwoCodes { int32_t of[2][kDepthTiles * kTileInts]; };

// Sums of two products with the left factor in tiles `left0` and `left1`: in turns, for each adds to what it gave before.
#define A3B_TWO_PRODUCTS(left0, left1, codes, first, second) \
  touch();                                                   \
  _tile_zero(0);                                             \
  _tile_zero(1);                                             \
  _tile_loadd(6, (codes).of[0], 64);                         \
  _tile_dpbsud(0, left0, 6);                                 \
  _tile_loadd(7, (codes).of[1], 64);                         \
  _tile_dpbsud(1, left0, 7);                                 \
  _tile_loadd(6, (codes).of[0] + kTileInts, 64);             \
  _tile_dpbsud(0, left1, 6);                                 \
  _tile_loadd(7, (codes).of[1] + kTileInts, 64);             \
  _tile_dpbsud(1, left1, 7);                                 \
  _tile_stored(0, first, 64);                                \
  _tile_stored(1, second, 64);                               \
  touch()

// Numbers of 16 bits of `group` heads as left factors: their upper bytes, then the lower ones. Those of 64 tokens lie as
// packing leaves them, so that word 4 k + v of a row has tokens 4 k to 4 k + 3 of block v.
struct alignas(64) SplitNumbers {
  int8_t rows[kDepthTiles][2 * kTileHeads][64];

  void put(int head, int group, const VI* whole) {
    for (int i = 0; i < kDepthTiles; i++, whole += 4) {
      const VI a = _mm512_packs_epi32(whole[0], whole[1]), b = _mm512_packs_epi32(whole[2], whole[3]);
      auto upper = [](VI v) { return _mm512_srai_epi16(_mm512_add_epi16(v, _mm512_set1_epi16(128)), 8); };
      auto lower = [](VI v) { return _mm512_and_si512(v, _mm512_set1_epi16(255)); };
      _mm512_store_si512(rows[i][head], _mm512_packs_epi16(upper(a), upper(b)));
      _mm512_store_si512(rows[i][group + head], _mm512_packus_epi16(lower(a), lower(b)));
    }
  }
};

struct alignas(64) SplitSums {
  int32_t rows[2 * kTileHeads][16];

  VI of(int head, int group) const { return addInt(upBy<8>(loadInt(rows[head])), loadInt(rows[group + head])); }
};

// In place of VectorCodes.
class TileCodes {
 public:
  explicit TileCodes(int group) { configure(CodeTiles(2 * group)); }
  ~TileCodes() { release(); }

  void prepare(const float* q, int group) {
    for (int g = 0; g < group; g++) {
      VF x[kTileChunks];
      VI whole[kTileChunks];
      for (int i = 0; i < kTileChunks; i++) x[i] = load(q + (g * kTileChunks + i) * 16);
      wholes_[g] = wholesOf<kTileChunks>(x, whole);
      // Channels as they come, for so do the keys'.
      const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
      queries_.put(g, group, whole);
      for (auto& tile : queries_.rows)
        for (int row = g; row < 2 * group; row += group) _mm512_store_si512(tile[row], _mm512_permutexvar_epi32(order, _mm512_load_si512(tile[row])));
    }
  }

  void scores(const float* q, int group, const KvPage& page, const KvPage& next, float* to) const {
    const uint8_t* const after = next.tier == 0 ? page.pieces[0] : next.pieces[0];
    if (page.tier == 1) return scoresOf<1>(q, group, page, after, to);
    if (page.tier == 2) return scoresOf<2>(q, group, page, after, to);
    return scoresOf<3>(q, group, page, after, to);
  }

  void values(const float* p, int group, const KvPage& page, float* to) const {
    if (page.tier == 1) return valuesOf<1>(p, group, page, to);
    if (page.tier == 2) return valuesOf<2>(p, group, page, to);
    return valuesOf<3>(p, group, page, to);
  }

 private:
  SplitNumbers queries_;
  Wholes wholes_[kTileHeads];

  template <int tier> void scoresOf(const float* q, int group, const KvPage& page, const uint8_t* next, float* to) const {
    constexpr int each = nestedBytes(kTileHeadDim) / kPageBlocks, bits = kTierBits[tier].key;
    const PartPlace keys = keyPlace(page.pieces, kTileHeadDim);
    TwoCodes codes[2];
    SplitSums sums[2][2];
    // Two blocks.
    auto unpackBlocks = [&](int i) __attribute__((always_inline)) {
      for (int b = 2 * i; b < 2 * i + 2; b++) {
        const BlockPlanes<kKeys> at(keys.planes, kTierPlanes[tier], b, kTileHeadDim);
        for (int j = 0; j < each; j += 64) prefetchFar(next + b * each + j);
        for (int line = 0; line < kTileChunks; line += 2)
          overLines<kKeys, bits>(at.at, line, [&]<int vector>(int line, const FourCodes& four) __attribute__((always_inline)) {
            storeInt(codes[i % 2].of[b % 2] + (line * 4 + vector) * 16, codesFrom<bits, vector, 0x01010101>(four));
          });
      }
    };
    auto take = [&](int i) __attribute__((always_inline)) {
      for (int b = 2 * i; b < 2 * i + 2; b++)
        for (int g = 0; g < group; g++) store(to + g * kPageTokens + b * 16, aroundMiddle<bits>(sums[i % 2][b % 2].of(g, group), wholes_[g]));
    };
    touch();
    _tile_loadd(2, queries_.rows[0], 64);
    _tile_loadd(3, queries_.rows[1], 64);
    unpackBlocks(0);
    // A tile waits for what was just stored, and its sums wait for it: meanwhile the next blocks are unpacked.
    for (int i = 0; i < kPageBlocks / 2; i++) {
      if (i + 1 < kPageBlocks / 2) unpackBlocks(i + 1);
      A3B_TWO_PRODUCTS(2, 3, codes[i % 2], sums[i % 2][0].rows[0], sums[i % 2][1].rows[0]);
      if (i > 0) take(i - 1);
    }
    take(kPageBlocks / 2 - 1);
    scaleScores<kTileChunks>(q, group, keys, page.means, bits, to);
  }

  template <int tier> void valuesOf(const float* p, int group, const KvPage& page, float* to) const {
    constexpr int pairs = kTileChunks / 2, bits = kTierBits[tier].value;
    const PartPlace values = valuePlace(page.pieces, kTileHeadDim);
    TwoCodes codes[2];
    SplitSums sums[2][2];
    SplitNumbers split[2];
    Wholes wholes[2][kTileHeads];
    // Two lines, of 16 channels each, of all tokens.
    auto unpackLines = [&](int i) __attribute__((always_inline)) {
      for (int b = 0; b < kPageBlocks; b++) {
        const BlockPlanes<kValues> at(values.planes, kTierPlanes[tier], b, kTileHeadDim);
        overLines<kValues, bits>(at.at, 2 * i, [&]<int quad>(int line, const FourCodes& four) __attribute__((always_inline)) {
          storeInt(codes[i % 2].of[line % 2] + (b / 4 * 16 + quad * 4 + b % 4) * 16, codesFrom<bits, quad, 0x01010101>(four));
        });
      }
    };
    auto take = [&](int i) __attribute__((always_inline)) {
      for (int line = 0; line < 2; line++)
        for (int g = 0; g < group; g++) {
          float* at = to + g * kTileHeadDim + (2 * i + line) * 16;
          store(at, add(load(at), aroundMiddle<bits>(sums[i % 2][line].of(g, group), wholes[2 * i / pairs][g])));
        }
    };
    unpackLines(0);
    wholeWeights<kTileChunks>(p, group, values, page.means, bits, to, [&](int g, int half, const VI* whole, const Wholes& worth) {
      split[half].put(g, group, whole);
      wholes[half][g] = worth;
    });
    touch();
    _tile_loadd(2, split[0].rows[0], 64);
    _tile_loadd(3, split[0].rows[1], 64);
    _tile_loadd(4, split[1].rows[0], 64);
    _tile_loadd(5, split[1].rows[1], 64);
    for (int i = 0; i < pairs; i++) {
      if (i + 1 < pairs) unpackLines(i + 1);
      if (2 * i < pairs) {
        A3B_TWO_PRODUCTS(2, 3, codes[i % 2], sums[i % 2][0].rows[0], sums[i % 2][1].rows[0]);
      } else {
        A3B_TWO_PRODUCTS(4, 5, codes[i % 2], sums[i % 2][0].rows[0], sums[i % 2][1].rows[0]);
      }
      if (i > 0) take(i - 1);
    }
    take(pairs - 1);
  }
};

// What TileCodes is to attention, to the scan of `scan-inl.h`.
class TileScan {
 public:
  TileScan(const ScanQueries& q, int group) : q_(q), group_(group) {
    configure(CodeTiles(group));
    _tile_loadd(2, q.codes[0], kMaxHeadDim);
    _tile_loadd(3, q.codes[0] + 64, kMaxHeadDim);
  }
  ~TileScan() { release(); }

  void levels(const PartPlace& keys, const float* bases, const uint8_t* next, float* levels, int32_t* tops) const {
    constexpr int each = scannedBytes(kTileHeadDim) / kPageBlocks;
    TwoCodes codes[2];
    alignas(64) int32_t sums[2][2][kTileHeads][16];
    VF most[kTileHeads];
    for (VF& m : most) m = set1(-kMostLevel);
    auto unpackBlocks = [&](int i) __attribute__((always_inline)) {
      for (int j = 2 * i * each / 64 * 64; j < (2 * i + 2) * each; j += 64) prefetchFar(next + j);
      for (int line = 0; line < 2 * kTileChunks; line++) {
        const VB four = loadBytes(lineAt(keys.planes[0], 2 * i * kTileChunks + line));
        int32_t* to = codes[i % 2].of[0] + line * 64;
        storeInt(to, pairAt<0>(four)), storeInt(to + 16, pairAt<2>(four)), storeInt(to + 32, pairAt<4>(four)), storeInt(to + 48, pairAt<6>(four));
      }
    };
    auto take = [&](int i) __attribute__((always_inline)) {
      for (int b = 2 * i; b < 2 * i + 2; b++) {
        const VF scales = loadHalf(keys.scales + b * 16);
        for (int g = 0; g < group_; g++) {
          const VF level = levelOf(loadInt(sums[i % 2][b % 2][g]), scales, q_, g, bases[g]);
          most[g] = maxOf(level, most[g]);
          store(levels + g * kPageTokens + b * 16, level);
        }
      }
    };
    unpackBlocks(0);
    for (int i = 0; i < kPageBlocks / 2; i++) {
      if (i + 1 < kPageBlocks / 2) unpackBlocks(i + 1);
      A3B_TWO_PRODUCTS(2, 3, codes[i % 2], sums[i % 2][0], sums[i % 2][1]);
      if (i > 0) take(i - 1);
    }
    take(kPageBlocks / 2 - 1);
    for (int g = 0; g < group_; g++) tops[g] = topOf(most[g]);
  }

 private:
  const ScanQueries& q_;
  const int group_;
};

}  // namespace
