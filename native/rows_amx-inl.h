// Attention of many rows over packed pages (fast prefill) in the tiles of AMX. 32 rows read one page after another, so that their
// sums stay in the first cache: to store a tile into the second takes as long as five products. Half a page's tokens are scored, and
// weighed while tiles sum up half the channels of the page before; then there is room for the other half's scores.
#pragma once
#include <algorithm>
#include "gemm_bf16-inl.h"
#include "pairs_amx-inl.h"
#include "prefill-inl.h"

namespace {

// 2^(f / 128) - 1 in 128ths, what follows the leading one of a bfloat16.
struct alignas(64) PowerTable {
  uint8_t fractions[128] = {};
  constexpr PowerTable() {
    constexpr double step = 1.0054299011128028;  // 2^(1 / 128)
    double power = 1;
    for (int f = 0; f < 128; f++, power *= step) fractions[f] = static_cast<uint8_t>(128 * (power - 1) + 0.5);
  }
};
constexpr PowerTable kPowers;

// 2^x of 32 numbers as bfloat16, which are given as 128 (x + 127), rounded: the upper bits are the exponent's.
inline VI powersOf2(VI packed) {
  const VI order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), exponents = _mm512_set1_epi16(static_cast<short>(0xff80));
  const VI x = _mm512_permutexvar_epi64(order, packed);
  const VI fractions = _mm512_permutex2var_epi8(loadBytes(kPowers.fractions), x, loadBytes(kPowers.fractions + 64));
  return _mm512_ternarylogic_epi32(x, exponents, fractions, 0xe2);
}

constexpr int kPagesAtOnce = 8;  // a quarter of the second cache

// How many tokens of a page a row sees: all of several pages; or of one each token's rows one more.
struct SeesAll {
  static constexpr bool kAll = true;
  int operator()(int) const { return kPageTokens; }
};
struct SeesSome {
  static constexpr bool kAll = false;
  int first, last, count, group;
  int operator()(int row) const {
    const int token = row / group;
    return token < first || token >= last ? 0 : std::min(count + token - first, kPageTokens);
  }
};

class RowTiles {
 public:
  static constexpr int kRows = 2 * kTileRows;

  RowTiles(const PackedRows& rows, const float* q, float* sums, const float* packed, int pages) : rows_(rows), q_(q), sums_(sums), packed_(packed), pages_(pages) {
    std::fill_n(shrink_[0], 2 * kRows, 1.0f);
    configure(PairTiles());
  }
  ~RowTiles() { release(); }

  // `count` rows of whole pairs of tiles from `first` on.
  template <class Seen> void attend(int first, int count, Seen seen) {
    const int units = count / kRows * pages_;
    auto rowOf = [&](int unit) { return first + unit / pages_ * kRows; };
    // Parts of a page that one of a unit's rows sees: others are not multiplied.
    auto partsOf = [&](int unit) {
      if constexpr (Seen::kAll) return kParts;
      int most = 0;
      for (int r = 0; r < kRows && most < kPageTokens; r++) most = std::max(most, seen(rowOf(unit) + r));
      return (most + kTileColumns - 1) / kTileColumns;
    };
    int partsBefore = 0;
    for (int i = 0; i < units; i++) {
      const int row = rowOf(i), parts = partsOf(i);
      for (int half = 0; half < 2; half++) {
        score(row, i, half, parts);
        if (half == 0 && i % pages_ == 0) begin(i % 2, row, seen);
        auto weighRow = [&](unsigned r) __attribute__((always_inline)) {
          weigh<Seen::kAll>(i & 1, half, r, row, (Seen::kAll ? kPageTokens : seen(row + static_cast<int>(r))) - half * kHalf);
        };
        if (i > 0) sum(rowOf(i - 1), i - 1, half, partsBefore, weighRow);
        else
          for (unsigned r = 0; r < kRows; r++) weighRow(r);
      }
      partsBefore = parts;
    }
    for (int half = 0; half < 2; half++) sum(rowOf(units - 1), units - 1, half, partsBefore, [](unsigned) {});
  }

 private:
  static constexpr int kWidth = 128;  // of a page's tokens and of a head's channels alike
  static constexpr int kWords = kWidth / 2, kFactor = kWidth * kWords, kPage = 2 * kFactor, kParts = kWidth / kTileColumns;
  static constexpr int kHalf = kWidth / 2, kHalfParts = kParts / 2;
  static constexpr int kTile = kTileRows * kTileWords;
  static constexpr float kNothing = -1e38f;           // the largest score of a row that has seen none is less
  static constexpr int kMostPower = (127 + 32) * 128;  // as `powersOf2` has them
  static_assert(kWidth == kPageTokens);

  // Of half a page's tokens.
  void score(int row, int unit, int half, int parts) {
    const float *left = q_ + row * kWords, *keys = packed_ + unit % pages_ * kPage;
    for (int part = half * kHalfParts; part < std::min(parts, (half + 1) * kHalfParts); part++)
      pairTile(left, left + kTileRows * kWords, keys + part * kTileColumns * kWords, kWords, Write::set,
               scores_[0] + part % kHalfParts * kTileColumns, kHalf, [] {});
  }

  // Of half the channels. What was gathered before shrinks first: the page before is added by now. meanwhile(0 to 31).
  template <class Meanwhile> void sum(int row, int unit, int half, int parts, Meanwhile meanwhile) {
    for (int r = 0; grew_[unit % 2] && r < kRows; r++)
      if (float& by = shrink_[unit % 2][r]; by != 1) shrinkSums(rows_, row + r, kWidth, by), by = 1;
    grew_[unit % 2] = false;
    const float *left = weights_[unit % 2], *values = packed_ + unit % pages_ * kPage + kFactor;
    unsigned done = 0;
    for (int column = half * kHalf; column < (half + 1) * kHalf; column += kTileColumns)
      pairTile(left, left + kTileRows * kWords, values + column * kWords, parts * kTileWords, Write::add, sums_ + row * kWidth + column, kWidth,
               [&]() __attribute__((always_inline)) { meanwhile(done++), meanwhile(done++); });
    while (done < kRows) meanwhile(done++);
  }

  static __mmask16 firstLanes(int n) { return n >= 16 ? 0xffff : n > 0 ? static_cast<__mmask16>((1 << n) - 1) : 0; }

  // With 128 log2(e) scores, what `powersOf2` takes.
  static float baseOf(float largest) { return 128 * (127 - largest * kLog2e); }

  // Where a row's weights of half a page begin, as words of its tile.
  float* weightsOf(unsigned side, int half, unsigned r) {
    return weights_[side] + r / kTileRows * kTileRows * kWords + half * kHalfParts * kTile + r % kTileRows * kTileWords;
  }

  // Scores of a row over half a page become weights; of what it does not see, zeros.
  template <bool whole> [[gnu::always_inline]] void weigh(unsigned side, int half, unsigned r, int first, int seen) {
    const float* s = scores_[r];
    float* to = weightsOf(side, half, r);
    VI x[kHalfParts];  // as packing leaves them
    auto powers = [&]() __attribute__((always_inline)) {
      const VF base = set1(bases_[r]), unit = set1(128 * kLog2e);
#pragma GCC unroll 2
      for (int i = 0; i < kHalfParts; i++) {
        VI low = toInt(fma(load(s + i * 32), unit, base)), high = toInt(fma(load(s + i * 32 + 16), unit, base));
        if constexpr (!whole) low = _mm512_maskz_mov_epi32(firstLanes(seen - i * 32), low), high = _mm512_maskz_mov_epi32(firstLanes(seen - i * 32 - 16), high);
        x[i] = _mm512_packus_epi32(low, high);
      }
    };
    powers();
    if (_mm512_cmpgt_epu16_mask(_mm512_max_epu16(x[0], x[1]), _mm512_set1_epi16(kMostPower))) [[unlikely]] {
      grow(side, half, r, first, seen);
      powers();
    }
    const VI ones = _mm512_set1_epi16(0x3f80);
    float* totals = rows_.totals + first * 16 + r * 16;
    VF total = load(totals);
#pragma GCC unroll 2
    for (int i = 0; i < kHalfParts; i++) {
      const VI words = powersOf2(x[i]);
      _mm512_store_si512(to + i * kTile, words);
      total = _mm512_dpbf16_ps(total, __builtin_bit_cast(__m512bh, words), __builtin_bit_cast(__m512bh, ones));
    }
    store(totals, total);
  }

  // Of rows whose first page this is.
  template <class Seen> void begin(int side, int row, const Seen& seen) {
    for (int r = 0; r < kRows; r++) {
      bases_[r] = baseOf(rows_.largest[row + r]);
      if (const int here = seen(row + r); rows_.largest[row + r] < kNothing && here > 0) grow(side, 0, static_cast<unsigned>(r), row, here);
    }
  }

  // A row's largest score is another now. Weights of the page's first half shrink with what was gathered before.
  [[gnu::noinline]] void grow(unsigned side, int half, unsigned r, int first, int seen) {
    const int row = first + static_cast<int>(r);
    VF largest = set1(kMasked);
    for (int i = 0; i < kHalf / 16; i++) largest = _mm512_mask_max_ps(largest, firstLanes(seen - i * 16), largest, load(scores_[r] + i * 16));
    const float by = growLargest(rows_, row, maxLanes(largest));
    shrink_[side][r] *= by, grew_[side] = true;
    bases_[r] = baseOf(rows_.largest[row]);
    for (int i = 0; half == 1 && i < kHalfParts; i++) {
      float* words = weightsOf(side, 0, r) + i * kTile;
      const VI both = _mm512_load_si512(words);
      store(words, zipped(mul(bitsAsFloats(upBy<16>(both)), set1(by)), mul(bitsAsFloats(andInt(both, ~0xffff)), set1(by))));
    }
  }

  const PackedRows& rows_;
  const float* const q_;
  float* const sums_;
  const float* const packed_;  // [pages][keys, values]
  const int pages_;
  float bases_[kRows];
  alignas(64) float scores_[kRows][kHalf];
  alignas(64) float weights_[2][kRows * kWords];
  float shrink_[2][kRows];  // of what a row has gathered, by the scores of a page
  bool grew_[2] = {};
};

inline bool fitsRows(const GemmKernels& products, int headDim) {
  return headDim == kPageTokens && products.rows == kTileRows && products.columns == kTileColumns && products.perWord == 2;
}

// What `packPage` does, of 16 bits straight from them, without floats in memory between.
void packHalves(const GemmKernels& products, const KvPage& page, int headDim, int count, float* out) {
  static_assert(kKeyPanel == kTileColumns);
  if (page.tier != 0 || !fitsRows(products, headDim)) return packPage(products, page, headDim, count, out);
  constexpr int panel = kPageTokens / 2 * kTileColumns;  // of 32 keys, or of 32 channels of values
  auto zip = [](const uint16_t* low, const uint16_t* high, float* to) {
    for (int i = 0; i < kTileColumns; i += 16) store(to + i, zipped(loadHalf(low + i), high ? loadHalf(high + i) : zero()));
  };
  for (int t = 0; t < kPageTokens; t += kKeyPanel, out += panel)
    for (int i = 0; i < headDim; i += 2) {
      const uint16_t* key = page.keys + keyStart(t, headDim) + i * kKeyPanel;
      zip(key, key + kKeyPanel, out + i / 2 * kTileColumns);
    }
  for (int t = 0; t < kPageTokens; t += 2)
    for (int i = 0; i < headDim; i += kTileColumns) {
      const uint16_t* value = page.values + t * headDim + i;
      float* to = out + i / kTileColumns * panel + t / 2 * kTileColumns;
      // Nothing that a former sequence left there may be multiplied, even by zero.
      if (t < count) zip(value, t + 1 < count ? value + headDim : nullptr, to);
      else memset(to, 0, kTileColumns * 4);
    }
}

void attendPacked(const GemmKernels& products, const PackedRows& rows, int first, int last, int count, int group, int headDim, bool coded, const float* packed, int pages) {
  if (!fitsRows(products, headDim)) return attendPages(products, rows, first, last, count, group, headDim, coded, packed, pages);
  // Whole pairs of tiles, for a row's bits must not tell whether it is in one. Of a page rows that are not meant see nothing; of
  // several there are none but those that fill the last pair, of whose sums nothing is read.
  const int begin = first * group / RowTiles::kRows * RowTiles::kRows, numRows = roundUp(last * group - begin, RowTiles::kRows);
  RowTiles tiles(rows, rows.q[coded], rows.sums[coded], packed, pages);
  if (pages > 1) tiles.attend(begin, numRows, SeesAll{});
  else tiles.attend(begin, numRows, SeesSome{first, last, count, group});
}

}  // namespace
