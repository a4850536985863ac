// How pages of codes are read in the tiles of AMX: numbers of 16 bits, queries and weights, as two bytes each in rows of
// their own, so that sums of products with codes are the whole numbers that the vector kernels get, and all else is
// theirs. Of heads with 128 channels, of which no more than eight share a key.
#pragma once
#include "blocks-inl.h"
#include "kv-inl.h"
#include "scan-inl.h"
#include "tiles_amx.h"

namespace {

constexpr int kTileChunks = 8, kTileHeads = 8;
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

// The codes of one product, [kDepthTiles * 16][16][4].
struct alignas(64) TileOfCodes { int32_t words[kDepthTiles * kTileInts]; };

// sums = the left factor in tiles 2 and 3, or `later` in 4 and 5, times codes.
template <bool later = false> inline void tileProduct(const TileOfCodes& codes, int32_t* sums) {
  touch();
  _tile_zero(0);
  _tile_loadd(6, codes.words, 64);
  _tile_loadd(7, codes.words + kTileInts, 64);
  if constexpr (later) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(0, 5, 7);
  } else {
    _tile_dpbssd(0, 2, 6);
    _tile_dpbssd(0, 3, 7);
  }
  _tile_stored(0, sums, 64);
  touch();
}

// Numbers of 16 bits of `group` heads as left factors: their upper bytes, then the lower ones. Those of 64 tokens lie as
// packing leaves them, so that word 4 k + v of a row has tokens 4 k to 4 k + 3 of block v.
struct alignas(64) SplitNumbers {
  int8_t rows[kDepthTiles][2 * kTileHeads][64];

  void put(int head, int group, const VI* whole) {
    for (int i = 0; i < kDepthTiles; i++, whole += 4) {
      const VI a = _mm512_packs_epi32(whole[0], whole[1]), b = _mm512_packs_epi32(whole[2], whole[3]);
      auto upper = [](VI v) { return _mm512_srai_epi16(_mm512_add_epi16(v, _mm512_set1_epi16(128)), 8); };
      auto lower = [](VI v) { return _mm512_and_si512(v, _mm512_set1_epi16(255)); };  // signed, once it is a byte
      _mm512_store_si512(rows[i][head], _mm512_packs_epi16(upper(a), upper(b)));
      _mm512_store_si512(rows[i][group + head], _mm512_packus_epi16(lower(a), lower(b)));
    }
  }
};

struct alignas(64) SplitSums {
  int32_t rows[2 * kTileHeads][16];

  VI of(int head, int group) const { return addInt(upBy<8>(loadInt(rows[head])), loadInt(rows[group + head])); }
};

// Each byte's bits that are kept, of which some are turned.
template <int kept, int turned> inline VI keepAndTurn(VI v) {
  return _mm512_ternarylogic_epi32(v, _mm512_set1_epi8(static_cast<char>(kept)), _mm512_set1_epi8(static_cast<char>(turned)), 0x6a);
}

// Codes as signed numbers: of b bits, counted from the middle in half steps of 2^(7 - b); of eight bits less 128.
template <int bits, int vector> inline VI signedCodes(const FourCodes& four) {
  constexpr int upper = static_cast<int>(0xf0f0f0f0), kept = 256 - (1 << (8 - bits)), turned = bits == 8 ? 128 : 128 + (1 << (7 - bits));
  auto moved = [](const Nibbles& n) __attribute__((always_inline)) { return vector & 1 ? n.odd : n.even; };
  VI codes = moved(four.upper);
  if constexpr (!(vector & 2)) codes = upBy<4>(codes);
  if constexpr (bits > 4) codes = pick<upper>(codes, vector & 2 ? downBy<4>(moved(four.lower)) : moved(four.lower));
  return keepAndTurn<kept, turned>(codes);
}

// Sums of products with those become sums of numbers times levels, as `aroundMiddle` has them.
template <int bits> inline VF ofSigned(VI products, const Wholes& wholes) {
  if constexpr (bits == 8) return mul(toFloat(addInt(upBy<1>(products), set1Int(wholes.sum))), set1(wholes.unit * 0.5f));
  else return mul(toFloat(products), set1(wholes.unit / (1 << (8 - bits))));
}

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

  void scores(const float* q, int group, const KvPage& page, const KvPage& next, float* to) {
    next_ = {};
    if (next.tier != 0 && &next != &page) next_ = {next.pieces[0], next.pieces[0] + nestedBytes(kTileHeadDim)};
    if (page.tier == 1) return scoresOf<1>(q, group, page, to);
    if (page.tier == 2) return scoresOf<2>(q, group, page, to);
    return scoresOf<3>(q, group, page, to);
  }

  void values(const float* p, int group, const KvPage& page, float* to) {
    if (page.tier == 1) return valuesOf<1>(p, group, page, to);
    if (page.tier == 2) return valuesOf<2>(p, group, page, to);
    return valuesOf<3>(p, group, page, to);
  }

 private:
  static constexpr int kLinesAtOnce = 4;  // 64 times a page, which is all of it

  SplitNumbers queries_;
  Wholes wholes_[kTileHeads];
  Ahead next_;  // where the processor does not look by itself

  template <int tier> void scoresOf(const float* q, int group, const KvPage& page, float* to) {
    constexpr int bits = kTierBits[tier].key;
    const PartPlace keys = keyPlace(page.pieces, kTileHeadDim);
    TileOfCodes codes[2];
    SplitSums sums[2];
    auto unpackBlock = [&](int b) __attribute__((always_inline)) {
      const BlockPlanes<kKeys> at(keys.planes, kTierPlanes[tier], b, kTileHeadDim);
      for (int line = 0; line < kTileChunks; line += 2) {
        next_.fetchFar(kLinesAtOnce);
        overLines<kKeys, bits>(at.at, line, [&]<int vector>(int line, const FourCodes& four) __attribute__((always_inline)) {
          storeInt(codes[b % 2].words + (line * 4 + vector) * 16, signedCodes<bits, vector>(four));
        });
      }
    };
    auto take = [&](int b) __attribute__((always_inline)) {
      for (int g = 0; g < group; g++) store(to + g * kPageTokens + b * 16, ofSigned<bits>(sums[b % 2].of(g, group), wholes_[g]));
    };
    touch();
    _tile_loadd(2, queries_.rows[0], 64);
    _tile_loadd(3, queries_.rows[1], 64);
    unpackBlock(0);
    // A tile waits for what was just stored, and its sums wait for it: meanwhile the next block is unpacked.
    for (int b = 0; b < kPageBlocks; b++) {
      if (b + 1 < kPageBlocks) unpackBlock(b + 1);
      tileProduct(codes[b % 2], sums[b % 2].rows[0]);
      if (b > 0) take(b - 1);
    }
    take(kPageBlocks - 1);
    scaleScores<kTileChunks>(q, group, keys, page.means, bits, to);
  }

  template <int tier> void valuesOf(const float* p, int group, const KvPage& page, float* to) {
    constexpr int pairs = kTileChunks / 2, bits = kTierBits[tier].value;
    const PartPlace values = valuePlace(page.pieces, kTileHeadDim);
    TileOfCodes codes[2][2];
    SplitSums sums[2][2];
    SplitNumbers split[2];
    Wholes wholes[2][kTileHeads];
    // Two lines, of 16 channels each, of all tokens.
    auto unpackLines = [&](int i) __attribute__((always_inline)) {
      for (int b = 0; b < kPageBlocks; b++) {
        const BlockPlanes<kValues> at(values.planes, kTierPlanes[tier], b, kTileHeadDim);
        next_.fetchFar(kLinesAtOnce);
        overLines<kValues, bits>(at.at, 2 * i, [&]<int quad>(int line, const FourCodes& four) __attribute__((always_inline)) {
          storeInt(codes[i % 2][line % 2].words + (b / 4 * 16 + quad * 4 + b % 4) * 16, signedCodes<bits, quad>(four));
        });
      }
    };
    auto take = [&](int i) __attribute__((always_inline)) {
      for (int line = 0; line < 2; line++)
        for (int g = 0; g < group; g++) {
          float* at = to + g * kTileHeadDim + (2 * i + line) * 16;
          store(at, add(load(at), ofSigned<bits>(sums[i % 2][line].of(g, group), wholes[2 * i / pairs][g])));
        }
    };
    unpackLines(0);
    addMeans<kTileChunks>(p, group, values, page.means, to);
    wholeWeights(p, group, values, bits, [&](int g, int half, const VI* whole, float unit) __attribute__((always_inline)) {
      split[half].put(g, group, whole);
      wholes[half][g] = {unit, bits == 8 ? sumOf<kPageBlocks>(whole) : 0};
    });
    touch();
    _tile_loadd(2, split[0].rows[0], 64);
    _tile_loadd(3, split[0].rows[1], 64);
    _tile_loadd(4, split[1].rows[0], 64);
    _tile_loadd(5, split[1].rows[1], 64);
    for (int i = 0; i < pairs; i++) {
      if (i + 1 < pairs) unpackLines(i + 1);
      for (int line = 0; line < 2; line++) {
        if (2 * i < pairs) tileProduct(codes[i % 2][line], sums[i % 2][line].rows[0]);
        else tileProduct<true>(codes[i % 2][line], sums[i % 2][line].rows[0]);
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

  void levels(const PartPlace& keys, const float* bases, const uint8_t* next, float* levels, float* largest) const {
    Ahead ahead{next, next + scannedBytes(kTileHeadDim)};
    TileOfCodes codes[2];
    alignas(64) int32_t sums[2][kTileHeads][16];
    VF most[16];
    for (VF& m : most) m = set1(-kMostLevel);
    // 64 times the code, counted from the middle.
    auto level = [](VI v) __attribute__((always_inline)) { return keepAndTurn<0xc0, 0xa0>(v); };
    auto unpackBlock = [&](int b) __attribute__((always_inline)) {
      ahead.fetchFar(1);
      for (int line = 0; line < kTileChunks; line++) {
        const VI four = loadInt(lineAt(keys.planes[0], b * kTileChunks + line));
        int32_t* to = codes[b % 2].words + line * 64;
        ahead.fetchFar(1);
        storeInt(to, level(upBy<6>(four))), storeInt(to + 16, level(upBy<4>(four))), storeInt(to + 32, level(upBy<2>(four))), storeInt(to + 48, level(four));
      }
    };
    auto take = [&](int b) __attribute__((always_inline)) {
      const VF scales = loadHalf(keys.scales + b * 16);
      for (int g = 0; g < group_; g++) {
        const VF level = levelOf(toFloat(loadInt(sums[b % 2][g])), scales, q_.unit[g] / 64, bases[g]);
        most[g] = maxOf(level, most[g]);
        store(levels + g * kPageTokens + b * 16, level);
      }
    };
    unpackBlock(0);
    for (int b = 0; b < kPageBlocks; b++) {
      if (b + 1 < kPageBlocks) unpackBlock(b + 1);
      tileProduct(codes[b % 2], sums[b % 2][0]);
      if (b > 0) take(b - 1);
    }
    take(kPageBlocks - 1);
    maxLanes16(most, largest);
  }

 private:
  const ScanQueries& q_;
  const int group_;
};

}  // namespace
