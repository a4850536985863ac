// Attention of many rows over packed pages (fast prefill) in the tiles of AMX. 32 rows read one page after another, so that their
// sums stay in the first cache: to store a tile into the second takes as long as five products. While tiles sum up the values of
// the page before, rows are weighed, two at a time; then there is room for the next page's scores.
#pragma once
#include "gemm_x86.h"
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
inline VI powersOf2(VI low, VI high) {
  const VI order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), exponents = _mm512_set1_epi16(static_cast<short>(0xff80));
  const VI x = _mm512_permutexvar_epi64(order, _mm512_packus_epi32(low, high));
  const VI fractions = _mm512_permutex2var_epi8(loadBytes(kPowers.fractions), x, loadBytes(kPowers.fractions + 64));
  return _mm512_ternarylogic_epi32(exponents, x, fractions, 0xca);
}

constexpr int kPagesAtOnce = 8;  // a quarter of the second cache

class RowTiles {
 public:
  static constexpr int kRows = 2 * kTileRows;

  RowTiles(const PackedRows& rows, const float* q, float* sums, const float* packed, int pages) : rows_(rows), q_(q), sums_(sums), packed_(packed), pages_(pages) {
    configure(PairTiles());
  }
  ~RowTiles() { release(); }

  // `count` rows of whole pairs of tiles from `first` on; row r sees seen(r) of the tokens of a page, all of them where there are several.
  template <class Seen> void attend(int first, int count, Seen seen) {
    const int units = count / kRows * pages_;
    auto rowOf = [&](int unit) { return first + unit / pages_ * kRows; };
    // Parts of a page that one of a unit's rows sees: others are not multiplied.
    auto partsOf = [&](int unit) {
      int most = pages_ == 1 ? 0 : kPageTokens;
      for (int r = 0; r < kRows && most < kPageTokens; r++)
        if (const int here = seen(rowOf(unit) + r); here > most) most = here;
      return most < kPageTokens ? (most + kTileColumns - 1) / kTileColumns : kParts;
    };
    score(rowOf(0), 0, partsOf(0));
    for (int i = 0; i < units; i++) {
      const int row = rowOf(i);
      auto weighTwo = [&](int step) __attribute__((always_inline)) {
        for (int r = 2 * step; r < 2 * step + 2; r++) weigh(i % 2, r, row + r, seen(row + r));
      };
      grew_[i % 2] = false;
      if (i > 0) sum(rowOf(i - 1), i - 1, partsOf(i - 1), weighTwo);
      else
        for (int step = 0; step < kRows / 2; step++) weighTwo(step);
      if (i + 1 < units) score(rowOf(i + 1), i + 1, partsOf(i + 1));
    }
    sum(rowOf(units - 1), units - 1, partsOf(units - 1), [](int) {});
  }

 private:
  static constexpr int kWidth = 128;  // of a page's tokens and of a head's channels alike
  static constexpr int kWords = kWidth / 2, kFactor = kWidth * kWords, kPage = 2 * kFactor, kParts = kWidth / kTileColumns, kSteps = kWords / kTileWords;
  static constexpr float kNothing = -1e38f;           // the largest score of a row that has seen none is less
  static constexpr int kMostPower = (127 + 32) * 128;  // as `powersOf2` has them
  static_assert(kWidth == kPageTokens);

  // Products of two panels of rows and 32 columns, `steps` tiles deep.
  template <class Meanwhile> void multiply(const float* left, const float* right, int column, int steps, Write write, float* c, Meanwhile meanwhile) {
    pairTile(left, left + kTileRows * kWords, right + column * kWords, steps * kTileWords, write, c + column, kWidth, meanwhile);
  }

  void score(int row, int unit, int parts) {
    for (int j = 0; j < parts; j++)
      multiply(q_ + row * kWords, packed_ + unit % pages_ * kPage, j * kTileColumns, kSteps, Write::set, scores_[0], [](int) {});
  }

  // What was gathered before shrinks first: the page before is added by now. meanwhile(0 to 15).
  template <class Meanwhile> void sum(int row, int unit, int parts, Meanwhile meanwhile) {
    if (grew_[unit % 2])
      for (int r = 0; r < kRows; r++)
        if (shrink_[unit % 2][r] != 1) shrinkSums(rows_, row + r, kWidth, shrink_[unit % 2][r]);
    for (int j = 0; j < kParts; j++) {
      multiply(weights_[unit % 2], packed_ + unit % pages_ * kPage + kFactor, j * kTileColumns, parts, Write::add, sums_ + row * kWidth,
               [&](int step) __attribute__((always_inline)) { meanwhile(j * kSteps + step); });
      for (int step = parts; step < kSteps; step++) meanwhile(j * kSteps + step);
    }
  }

  static __mmask16 firstLanes(int n) { return n >= 16 ? 0xffff : n > 0 ? static_cast<__mmask16>((1 << n) - 1) : 0; }

  // Scores of a row become weights, as words of its tile; of what it does not see, zeros.
  [[gnu::always_inline]] void weigh(int side, int r, int row, int seen) {
    float* s = scores_[r];
    float* to = weights_[side] + r / kTileRows * kTileRows * kWords + r % kTileRows * kTileWords;
    auto put = [&](int part, VI words) { _mm512_storeu_si512(to + part * kTileRows * kTileWords, words); };
    shrink_[side][r] = 1;
    VI x[8];
    auto powers = [&]() __attribute__((always_inline)) {
      const VF base = set1((127 - rows_.largest[row] * kLog2e) * 128);
      for (int i = 0; i < 8; i++) x[i] = toInt(fma(load(s + i * 16), set1(kLog2e * 128), base));
      if (seen < kPageTokens) [[unlikely]]
        for (int i = 0; i < 8; i++) x[i] = _mm512_maskz_mov_epi32(firstLanes(seen - i * 16), x[i]);
    };
    powers();
    auto largerOf = [](VI a, VI b) { return _mm512_max_epi32(a, b); };
    const VI most = largerOf(largerOf(largerOf(x[0], x[1]), largerOf(x[2], x[3])), largerOf(largerOf(x[4], x[5]), largerOf(x[6], x[7])));
    if ((rows_.largest[row] < kNothing && seen > 0) || _mm512_cmpgt_epi32_mask(most, set1Int(kMostPower))) [[unlikely]] {
      VF largest = set1(kMasked);
      for (int i = 0; i < 8; i++) largest = _mm512_mask_max_ps(largest, firstLanes(seen - i * 16), largest, load(s + i * 16));
      shrink_[side][r] = growLargest(rows_, row, maxLanes(largest)), grew_[side] = true;
      powers();
    }
    const VI ones = _mm512_set1_epi16(0x3f80);
    VF total = load(rows_.totals + row * 16);
    for (int i = 0; i < kParts; i++) {
      const VI words = powersOf2(x[2 * i], x[2 * i + 1]);
      put(i, words);
      total = _mm512_dpbf16_ps(total, __builtin_bit_cast(__m512bh, words), __builtin_bit_cast(__m512bh, ones));
    }
    store(rows_.totals + row * 16, total);
  }

  const PackedRows& rows_;
  const float* const q_;
  float* const sums_;
  const float* const packed_;  // [pages][keys, values]
  const int pages_;
  alignas(64) float scores_[kRows][kWidth];
  alignas(64) float weights_[2][kRows * kWords];
  float shrink_[2][kRows];  // of what a row has gathered, by the scores of a page
  bool grew_[2] = {};
};

void attendPacked(const GemmKernels& products, const PackedRows& rows, int first, int last, int count, int group, int headDim, bool coded, const float* packed, int pages) {
  const bool fits = headDim == kPageTokens && products.rows == kTileRows && products.columns == kTileColumns && products.perWord == 2;
  if (!fits) return attendPages(products, rows, first, last, count, group, headDim, coded, packed, pages);
  // Whole pairs of tiles, for a row's bits must not tell whether it is in one; rows that are not meant see nothing.
  const int begin = first * group / RowTiles::kRows * RowTiles::kRows;
  RowTiles(rows, rows.q[coded], rows.sums[coded], packed, pages).attend(begin, roundUp(last * group - begin, RowTiles::kRows), [&](int row) __attribute__((always_inline)) {
    const int token = row / group;
    return token < first || token >= last ? 0 : count + token - first;
  });
}

}  // namespace
