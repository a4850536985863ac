// Attention of many rows over packed pages (fast prefill) in the tiles of AMX. 32 rows read one page after another, so that their
// sums stay in the first cache: to store a tile into the second takes as long as five products. While tiles sum up the scores
// of the next page and the values of the one before, a row at a time is weighed.
#pragma once
#include "gemm_x86.h"
#include "pairs_amx-inl.h"
#include "prefill-inl.h"

namespace {

// 2^x of x <= 0 to 1e-4, which is below what weights are rounded to: 2^floor(x) times a polynomial (minimax) of what is left.
inline VF roughPower2(VF x) {
  const VF rest = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  VF p = fma(set1(0.07802016f), rest, set1(0.22606716f));
  p = fma(p, rest, set1(0.69583356f));
  p = fma(p, rest, set1(0.99992522f));
  return _mm512_scalef_ps(p, x);
}

constexpr int kPagesAtOnce = 8;  // a quarter of the second cache

class RowTiles {
 public:
  static constexpr int kRows = 2 * kTileRows;

  RowTiles(const PackedRows& rows, const float* q, float* sums, const float* packed, int pages) : rows_(rows), q_(q), sums_(sums), packed_(packed), pages_(pages) {
    configure(PairTiles());
  }
  ~RowTiles() { release(); }

  // `count` rows of whole pairs of tiles from `first` on; row r sees seen(r) of the tokens of a single page.
  template <class Seen> void attend(int first, int count, Seen seen) {
    const int units = count / kRows * pages_;
    auto rowOf = [&](int unit) { return first + unit / pages_ * kRows; };
    auto nothing = [](int) {};
    score(rowOf(0), 0, nothing);
    for (int i = 0; i < units; i++) {
      const int row = rowOf(i);
      auto weighFrom = [&](int start) {
        return [&, start](int r) __attribute__((always_inline)) { weigh(i % 2, start + r, row + start + r, seen(row + start + r)); };
      };
      grew_[i % 2] = false;
      if (i > 0) sum(rowOf(i - 1), i - 1, weighFrom(0));
      else
        for (int r = 0; r < kTileRows; r++) weighFrom(0)(r);
      if (i + 1 < units) score(rowOf(i + 1), i + 1, weighFrom(kTileRows));
      else
        for (int r = 0; r < kTileRows; r++) weighFrom(kTileRows)(r);
    }
    sum(rowOf(units - 1), units - 1, nothing);
  }

 private:
  static constexpr int kWidth = 128;  // of a page's tokens and of a head's channels alike
  static constexpr int kWords = kWidth / 2, kFactor = kWidth * kWords, kPage = 2 * kFactor, kParts = kWidth / kTileColumns;
  static_assert(kWidth == kPageTokens);

  // Of two panels of rows; meanwhile(0 to 15).
  template <class Meanwhile> void multiply(const float* left, const float* right, Write write, float* c, Meanwhile meanwhile) {
    for (int j = 0; j < kParts; j++)
      pairTile(left, left + kTileRows * kWords, right + j * kTileColumns * kWords, kWords, write, c + j * kTileColumns, kWidth,
               [&](int step) __attribute__((always_inline)) { meanwhile(j * 4 + step); });
  }

  template <class Meanwhile> void score(int row, int unit, Meanwhile meanwhile) {
    multiply(q_ + row * kWords, packed_ + unit % pages_ * kPage, Write::set, scores_[unit % 2][0], meanwhile);
  }

  // What was gathered before shrinks first: the page before is added by now.
  template <class Meanwhile> void sum(int row, int unit, Meanwhile meanwhile) {
    if (grew_[unit % 2])
      for (int r = 0; r < kRows; r++)
        if (shrink_[unit % 2][r] != 1) shrinkSums(rows_, row + r, kWidth, shrink_[unit % 2][r]);
    multiply(weights_[unit % 2], packed_ + unit % pages_ * kPage + kFactor, Write::add, sums_ + row * kWidth, meanwhile);
  }

  // Scores of a row become weights, as words of its tile.
  [[gnu::always_inline]] void weigh(int side, int r, int row, int seen) {
    float* s = scores_[side][r];
    float* to = weights_[side] + r / kTileRows * kTileRows * kWords + r % kTileRows * kTileWords;
    auto put = [&](int part, VF low, VF high) {
      _mm512_storeu_si512(to + part * kTileRows * kTileWords, __builtin_bit_cast(__m512i, _mm512_cvtne2ps_pbh(high, low)));
    };
    shrink_[side][r] = 1;
    if (seen < kPageTokens) [[unlikely]] {
      shrink_[side][r] = weighScoresOf(s, seen, rows_, row);
      grew_[side] |= shrink_[side][r] != 1;
      for (int i = 0; i < kParts; i++) put(i, load(s + i * 32), load(s + i * 32 + 16));
      return;
    }
    VF v[8];
    for (int i = 0; i < 8; i++) v[i] = load(s + i * 16);
    const VF most = maxOf(maxOf(maxOf(v[0], v[1]), maxOf(v[2], v[3])), maxOf(maxOf(v[4], v[5]), maxOf(v[6], v[7])));
    const float here = maxLanes(most);
    if (here > rows_.largest[row]) shrink_[side][r] = growLargest(rows_, row, here), grew_[side] = true;
    const VF base = set1(-rows_.largest[row] * kLog2e);
    for (VF& x : v) x = roughPower2(fma(x, set1(kLog2e), base));
    for (int i = 0; i < kParts; i++) put(i, v[2 * i], v[2 * i + 1]);
    float* total = rows_.totals + row * 16;
    store(total, add(load(total), add(add(add(v[0], v[1]), add(v[2], v[3])), add(add(v[4], v[5]), add(v[6], v[7])))));
  }

  const PackedRows& rows_;
  const float* const q_;
  float* const sums_;
  const float* const packed_;  // [pages][keys, values]
  const int pages_;
  alignas(64) float scores_[2][kRows][kWidth];
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
