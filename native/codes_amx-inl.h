// How pages of codes are read in the tiles of AMX: numbers of 16 bits, queries and weights, as a signed upper and an unsigned
// lower byte, so that sums of products are the whole numbers that the vector kernels get, and all else is theirs. Of heads
// with 128 channels.
#pragma once
#include "kv-inl.h"
#include "tiles_amx.h"

namespace {

constexpr int kTileChunks = 8, kTileWords = 16;
constexpr int kDepthTiles = 2;  // of 64 products: all channels of a key, all tokens of a page

// Tiles 0 and 1 take sums of upper and lower bytes, 2 and 3 their first halves, 4 and 5 their second ones, 6 and 7 codes.
struct CodeTiles : TileShapes {
  explicit CodeTiles(int heads) {
    for (int i = 0; i < 6; i++) shape(i, heads, kTileWords);
    for (int i = 6; i < 8; i++) shape(i, kTileWords, kTileWords);
  }
};

// Numbers of 16 bits of all heads as rows of tiles.
struct alignas(64) SplitNumbers {
  uint8_t upper[kDepthTiles][kMaxGroup][64], lower[kDepthTiles][kMaxGroup][64];

  void put(int head, int place, int16_t value) {
    upper[place / 64][head][place % 64] = static_cast<uint8_t>(value >> 8);
    lower[place / 64][head][place % 64] = static_cast<uint8_t>(value);
  }
  void load() const {
    touch();
    _tile_loadd(2, upper[0], 64);
    _tile_loadd(3, lower[0], 64);
    _tile_loadd(4, upper[1], 64);
    _tile_loadd(5, lower[1], 64);
  }
};

struct alignas(64) SplitSums {
  int32_t upper[kMaxGroup][16], lower[kMaxGroup][16];

  VI of(int head) const { return addInt(upBy<8>(loadInt(upper[head])), loadInt(lower[head])); }
};

// Products of the numbers that are loaded with codes [kDepthTiles * 16][16][4].
inline void splitProducts(const int32_t* codes, SplitSums& out) {
  touch();
  _tile_zero(0);
  _tile_zero(1);
  _tile_loadd(6, codes, 64);
  _tile_dpbsud(0, 2, 6);
  _tile_dpbuud(1, 3, 6);
  _tile_loadd(7, codes + 256, 64);
  _tile_dpbsud(0, 4, 7);
  _tile_dpbuud(1, 5, 7);
  _tile_stored(0, out.upper, 64);
  _tile_stored(1, out.lower, 64);
  touch();
}

// Codes of keys of 16 tokens, a token a lane: line w * 8 + r * 2 + half has the channels 32 w + 8 j + 4 half + r in byte j.
constexpr int keyChannel(int line, int byte) { return line / 8 * 32 + byte * 8 + line % 2 * 4 + line % 8 / 2; }

template <int bits, int r> inline void keyLines(const VI* nibbles, VB lowest, int32_t* out) {
  VI even = lowNibbles(nibbles[r]), odd = highNibbles(nibbles[r]);
  constexpr int one = 0x01010101;
  if constexpr (bits == 5) {
    even = orInt(upBy<1>(even), andInt(downBy<r>(lowest), one));
    odd = orInt(upBy<1>(odd), andInt(downBy<4 + r>(lowest), one));
  }
  if constexpr (bits == 8) {
    even = orInt(upBy<4>(even), lowNibbles(nibbles[4 + r]));
    odd = orInt(upBy<4>(odd), highNibbles(nibbles[4 + r]));
  }
  storeInt(out, even);
  storeInt(out + 16, odd);
}

template <int bits> inline void keyTile(const uint8_t* const* planes, int first, int32_t* out) {
  constexpr int words = kTileChunks / 2;
  VB columns[bits * words];
  for (int i = 0; i < bits; i++) loadColumns<words>(planes[i] + first * words * 4, columns + i * words);
  for (int w = 0; w < words; w++, out += 8 * 16) {
    VI nibbles[8];
    nibblesOf(columns + w, words, nibbles);
    if constexpr (bits == 8) nibblesOf(columns + 4 * words + w, words, nibbles + 4);
    const VB lowest = columns[(bits - 1) * words + w];
    keyLines<bits, 0>(nibbles, lowest, out);
    keyLines<bits, 1>(nibbles, lowest, out + 32);
    keyLines<bits, 2>(nibbles, lowest, out + 64);
    keyLines<bits, 3>(nibbles, lowest, out + 96);
  }
}

// Codes of values of 64 channels, [4 tiles][kDepthTiles * 16][16][4]: line i has tokens 4 i to 4 i + 3, lane 4 l + c of tile j
// channel 16 l + 4 j + c.
template <int bits> inline void valueTiles(const uint8_t* const* planes, int strip, int32_t* out) {
  constexpr int headDim = kTileChunks * 16, tile = kDepthTiles * 256;
  for (int t = 0; t < kPageTokens; t += 4, out += 16) {
    VB v[4];
    for (int i = 0; i < 4; i++) v[i] = codesAt<bits>(planes, ((t + i) * headDim + strip * 64) / 8);
    const VB a = _mm512_unpacklo_epi8(v[0], v[1]), b = _mm512_unpacklo_epi8(v[2], v[3]);
    const VB c = _mm512_unpackhi_epi8(v[0], v[1]), d = _mm512_unpackhi_epi8(v[2], v[3]);
    storeInt(out, _mm512_unpacklo_epi16(a, b));
    storeInt(out + tile, _mm512_unpackhi_epi16(a, b));
    storeInt(out + 2 * tile, _mm512_unpacklo_epi16(c, d));
    storeInt(out + 3 * tile, _mm512_unpackhi_epi16(c, d));
  }
}

// Lane 4 l + c of vector j becomes lane 4 j + c of vector l.
inline void channelsInOrder(VF (&v)[4]) {
  const VF a = _mm512_shuffle_f32x4(v[0], v[1], 0x44), b = _mm512_shuffle_f32x4(v[0], v[1], 0xee);
  const VF c = _mm512_shuffle_f32x4(v[2], v[3], 0x44), d = _mm512_shuffle_f32x4(v[2], v[3], 0xee);
  v[0] = _mm512_shuffle_f32x4(a, c, 0x88), v[1] = _mm512_shuffle_f32x4(a, c, 0xdd);
  v[2] = _mm512_shuffle_f32x4(b, d, 0x88), v[3] = _mm512_shuffle_f32x4(b, d, 0xdd);
}

// In place of VectorCodes.
class TileCodes {
 public:
  explicit TileCodes(int heads) { configure(CodeTiles(heads)); }
  ~TileCodes() { release(); }

  void prepare(const float* q, int group) {
    for (int g = 0; g < group; g++) {
      VF x[kTileChunks];
      VI whole[kTileChunks];
      for (int i = 0; i < kTileChunks; i++) x[i] = load(q + (g * kTileChunks + i) * 16);
      wholes_[g] = wholesOf<kTileChunks>(x, whole);
      alignas(64) int32_t channels[kTileChunks * 16];
      for (int i = 0; i < kTileChunks; i++) storeInt(channels + i * 16, whole[i]);
      for (int i = 0; i < kTileChunks * 16; i++) queries_.put(g, i, static_cast<int16_t>(channels[keyChannel(i / 4, i % 4)]));
    }
  }

  void scores(const float* q, int group, const KvPage& page, const KvPage& next, float* to) const {
    const uint8_t* const after = next.tier == 0 ? page.pieces[0] : next.pieces[0];
    if (page.tier == 1) return scoresOf<kTierBits[1].key>(q, group, page, after, to);
    if (page.tier == 2) return scoresOf<kTierBits[2].key>(q, group, page, after, to);
    return scoresOf<kTierBits[3].key>(q, group, page, after, to);
  }

  void values(const float* p, int group, const KvPage& page, float* to) const {
    if (page.tier == 1) return valuesOf<kTierBits[1].value>(p, group, page, to);
    if (page.tier == 2) return valuesOf<kTierBits[2].value>(p, group, page, to);
    return valuesOf<kTierBits[3].value>(p, group, page, to);
  }

 private:
  SplitNumbers queries_;
  Wholes wholes_[kMaxGroup];

  template <int bits> void scoresOf(const float* q, int group, const KvPage& page, const uint8_t* next, float* to) const {
    constexpr int each = nestedBytes(kTileChunks * 16) / kPageBlocks;
    const PartPlace keys = keyPlace(page.pieces, kTileChunks * 16);
    alignas(64) int32_t codes[2][kDepthTiles * 256];
    SplitSums sums[2];
    auto unpackBlock = [&](int b) {
      for (int i = 0; i < each; i += 64) prefetchFar(next + b * each + i);
      keyTile<bits>(keys.planes, b * 16, codes[b % 2]);
    };
    auto take = [&](int b) {
      for (int g = 0; g < group; g++) store(to + g * kPageTokens + b * 16, aroundMiddle<bits>(sums[b % 2].of(g), wholes_[g]));
    };
    queries_.load();
    unpackBlock(0);
    // A tile waits for what was just stored, and its sums wait for it: meanwhile the next block is unpacked.
    for (int b = 0; b < kPageBlocks; b++) {
      if (b + 1 < kPageBlocks) unpackBlock(b + 1);
      splitProducts(codes[b % 2], sums[b % 2]);
      if (b > 0) take(b - 1);
    }
    take(kPageBlocks - 1);
    scaleScores<kTileChunks>(q, group, keys, page.means, bits, to);
  }

  template <int bits> void valuesOf(const float* p, int group, const KvPage& page, float* to) const {
    constexpr int strips = 2, tiles = 4;
    const PartPlace values = valuePlace(page.pieces, kTileChunks * 16);
    alignas(64) int32_t codes[strips][tiles][kDepthTiles * 256];
    SplitSums sums[tiles];
    WholeWeights weights[kMaxGroup];
    SplitNumbers split[strips];
    valueTiles<bits>(values.planes, 0, codes[0][0]);
    wholeWeights<kTileChunks>(p, group, values, page.means, bits, weights, to);
    for (int i = 0; i < strips; i++)
      for (int g = 0; g < group; g++) splitTokens(weights[g].tokens[i], g, split[i]);
    valueTiles<bits>(values.planes, 1, codes[1][0]);
    for (int i = 0; i < strips; i++) {
      split[i].load();
      for (int j = 0; j < tiles; j++) splitProducts(codes[i][j], sums[j]);
      for (int g = 0; g < group; g++) {
        VF v[tiles];
        for (int j = 0; j < tiles; j++) v[j] = aroundMiddle<bits>(sums[j].of(g), weights[g].wholes[i]);
        channelsInOrder(v);
        for (int l = 0; l < tiles; l++) {
          float* at = to + g * kTileChunks * 16 + i * 64 + l * 16;
          store(at, add(load(at), v[l]));
        }
      }
    }
  }

  static void splitTokens(const int16_t* tokens, int head, SplitNumbers& out) {
    for (int i = 0; i < kDepthTiles; i++) {
      const __m512i first = _mm512_load_si512(tokens + i * 64), last = _mm512_load_si512(tokens + i * 64 + 32);
      auto bytes = [](__m512i v) { return _mm512_cvtepi16_epi8(v); };
      _mm256_store_si256(reinterpret_cast<__m256i*>(out.upper[i][head]), bytes(_mm512_srai_epi16(first, 8)));
      _mm256_store_si256(reinterpret_cast<__m256i*>(out.upper[i][head] + 32), bytes(_mm512_srai_epi16(last, 8)));
      _mm256_store_si256(reinterpret_cast<__m256i*>(out.lower[i][head]), bytes(first));
      _mm256_store_si256(reinterpret_cast<__m256i*>(out.lower[i][head] + 32), bytes(last));
    }
  }
};

}  // namespace
