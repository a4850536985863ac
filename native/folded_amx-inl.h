// Products of many rows in the tiles of AMX with the scales of a block folded into its codes: sums of a whole block are whole
// numbers then, and only a row's scale is left. Each code is rounded once more, to a 127th of the largest weight that the
// row's codes of the block could stand for, and activations share a scale over a block.
//
// A tile of weights has a row of the panel in each of its rows, so that codes of four bits are looked up, sixteen with the
// scale of their group at once. Step s of a block takes words 16 (s / 2) to 16 (s / 2) + 15 of nibbles, low ones where s is
// even: the columns 128 (s / 2) + 8 i + 4 (s % 2) + (0 to 3).
#pragma once
#include <algorithm>
#include "blocks-inl.h"
#include "tiles_amx.h"

namespace {

// What a code stands for is this much less.
template <int format> constexpr int kZeroCode = format == Q4_0 || format == Q4_S ? 8 : format == Q6_K ? 32 : 0;
// What codes of a group may stand for at most, as a multiple of its scale.
template <int format> constexpr float kMostCode = format == Q5_K ? 31 : format == Q4_K ? 15 : kZeroCode<format>;

constexpr int kSteps = kBlock / kVector;
constexpr float kMostByte = 127;
// Below this there are only zeros: the reciprocal of a scale would overflow.
constexpr float kTiniest = 1e-30f;

// Word j of from(i) becomes word i of what to(j) is given.
template <class From, class To> [[gnu::always_inline]] inline void transpose(From from, To to) {
  __m512i v[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    const __m512i a = from(i), b = from(i + 1), c = from(i + 2), d = from(i + 3);
    const __m512i ab = _mm512_unpacklo_epi32(a, b), ab2 = _mm512_unpackhi_epi32(a, b);
    const __m512i cd = _mm512_unpacklo_epi32(c, d), cd2 = _mm512_unpackhi_epi32(c, d);
    v[i] = _mm512_unpacklo_epi64(ab, cd), v[i + 1] = _mm512_unpackhi_epi64(ab, cd);
    v[i + 2] = _mm512_unpacklo_epi64(ab2, cd2), v[i + 3] = _mm512_unpackhi_epi64(ab2, cd2);
  }
  // v[4 l + q] has words q, q + 4, q + 8, q + 12 of rows 4 l to 4 l + 3
#pragma GCC unroll 4
  for (int q = 0; q < 4; q++) {
    const __m512i a = _mm512_shuffle_i32x4(v[q], v[q + 4], 0x44), b = _mm512_shuffle_i32x4(v[q], v[q + 4], 0xee);
    const __m512i c = _mm512_shuffle_i32x4(v[q + 8], v[q + 12], 0x44), d = _mm512_shuffle_i32x4(v[q + 8], v[q + 12], 0xee);
    to(q, _mm512_shuffle_i32x4(a, c, 0x88)), to(q + 4, _mm512_shuffle_i32x4(a, c, 0xdd));
    to(q + 8, _mm512_shuffle_i32x4(b, d, 0x88)), to(q + 12, _mm512_shuffle_i32x4(b, d, 0xdd));
  }
}

// ---- activations

void quantiseRow(const float* x, int columns, uint8_t* out) {
  const int blocks = (columns + kBlock - 1) / kBlock;
  float* scales = reinterpret_cast<float*>(out + blocks * kBlock);
  for (int b = 0; b < blocks; b++) {
    alignas(64) float rest[kBlock];
    const float* values = x + b * kBlock;
    if (columns - b * kBlock < kBlock) {
      memset(rest, 0, sizeof rest);
      memcpy(rest, values, static_cast<size_t>(columns - b * kBlock) * 4);
      values = rest;
    }
    VF most = zero();
    for (int i = 0; i < kBlock; i += 16) most = maxOf(most, abs(load(values + i)));
    const float largest = maxLanes(most);
    const bool tiny = !(largest > kTiniest);
    const VF inverse = set1(tiny ? 0.0f : kMostByte / largest);
    int8_t* to = reinterpret_cast<int8_t*>(out) + b * kBlock;
    for (int i = 0; i < kBlock; i += 16) storeBytes(to + i, toInt(mul(load(values + i), inverse)));
    scales[b] = tiny ? 0.0f : largest / kMostByte;
  }
}

// Sixteen rows as tiles take them: of each block [step][word][row][4], then its scales [row].
constexpr int kTiledBlock = kPanelRows * (kBlock + 4);

void tileRows(const uint8_t* const* x, int count, int columns, uint8_t* out) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
  const int blocks = (columns + kBlock - 1) / kBlock;
  for (int b = 0; b < blocks; b++, out += kTiledBlock) {
    for (int s = 0; s < kSteps; s++) {
      transpose(
          [&](int r) {
            const uint8_t* from = x[r] + b * kBlock + s / 2 * 128;
            return r < count ? _mm512_permutex2var_epi32(loadBytes(from), s % 2 ? odd : even, loadBytes(from + 64)) : zeroInt();
          },
          [&](int i, __m512i words) { _mm512_store_si512(out + (s * 16 + i) * kVector, words); });
    }
    float* scales = reinterpret_cast<float*>(out + kSteps * 16 * kVector);
    for (int r = 0; r < 16; r++) scales[r] = r < count ? reinterpret_cast<const float*>(x[r] + blocks * kBlock)[b] : 0.0f;
  }
}

// ---- weights

// What is fetched into the second cache beside other work: line by line, for where many are asked for at once all loads wait.
struct Lines {
  const uint8_t* at;
  int64_t step;  // bytes; where it is less than a line some are asked for twice, which costs little

  void next() { prefetchFar(at), at += step; }
};

// Of one panel: [step][row][64].
struct alignas(64) Folded {
  int8_t codes[kSteps][kPanelRows][kVector];
  float scale[kPanelRows];
};

// What sixteen codes less eight become: times a whole number of sixteenths, of which eight are a byte at most.
struct alignas(64) CodeTable {
  static constexpr int kParts = 16, kMost = 127 * kParts / 8;
  int8_t rows[2 * kMost + 1][16] = {};
  constexpr CodeTable() {
    for (int k = -kMost; k <= kMost; k++)
      for (int code = 0; code < 16; code++) rows[k + kMost][code] = static_cast<int8_t>(((code - 8) * k + kParts / 2) >> 4);
  }
};
constexpr CodeTable kCodeTable;  // code of this file may not run before the processor was asked

constexpr int kFraction = 256;  // of the numbers that codes are multiplied by

// Both halves of each word.
inline VI twice(VI v) { return _mm512_or_si512(_mm512_slli_epi32(v, 16), andInt(v, 0xffff)); }

// (code * factor + offset) / 256 of unsigned codes, as numbers of 16 bits that may go round: what is in the upper byte is right.
inline VB foldedCodes(VB codes, VI factor, VI offset) {
  const VI upper = _mm512_set1_epi16(static_cast<short>(0xff00));
  const VI even = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_andnot_si512(upper, codes), factor), offset);
  const VI odd = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_srli_epi16(codes, 8), factor), offset);
  return _mm512_ternarylogic_epi32(upper, odd, _mm512_srli_epi16(even, 8), 0xca);  // upper ? odd : even
}

// A block of one panel on its way, half by half.
template <int format> struct Folding {
  static constexpr int kGroups = kBlock / kGroup<format>;
  static constexpr bool kHasMin = format == Q4_K || format == Q5_K, kLooksUp = format == Q4_0 || format == Q4_S;
  const uint8_t* block;
  Folded* out;
  VF inverse, scale;
  alignas(64) int32_t places[kLooksUp ? kGroups : 1][kPanelRows];  // of the codes' tables

  Folding() = default;
  Folding(const uint8_t* from, Folded& to) : block(from), out(&to) {
    VF most = zero();
    for (int g = 0; g < kGroups; g++) {
      const Scales s = scalesOf<format>(block, g);
      most = maxOf(most, abs(kHasMin ? sub(mul(s.scale, set1(kMostCode<format>)), s.min) : s.scale));
      if constexpr (kHasMin) most = maxOf(most, abs(s.min));
    }
    if constexpr (!kHasMin) most = mul(most, set1(kMostCode<format>));
    const __mmask16 some = _mm512_cmp_ps_mask(most, set1(kTiniest), _CMP_GT_OQ);
    inverse = _mm512_maskz_div_ps(some, set1(kMostByte), most);
    scale = _mm512_maskz_mul_ps(some, most, set1(1 / kMostByte));
    if constexpr (kLooksUp)
      for (int g = 0; g < kGroups; g++) {
        const VI parts = toInt(mul(scalesOf<format>(block, g).scale, mul(inverse, set1(CodeTable::kParts))));
        storeInt(places[g], upBy<4>(addInt(parts, set1Int(CodeTable::kMost))));
      }
    asm("" : "+m"(places));  // or GCC takes them out of their vectors one by one
  }

  static constexpr int kLinesOfHalf = kLooksUp ? kPanelRows : 2 * kPanelRows;

  // Steps 2 h and 2 h + 1; so often `lines` goes on.
  void half(int h, Lines& lines) const {
    if (h == 0) store(out->scale, scale);
    Lines here = lines;  // in registers
    if constexpr (kLooksUp) lookUp(h, here);
    else multiply(h, here);
    lines = here;
  }

  // Tables of a half's four groups lie side by side, as their codes do, and are put together by sixteens of bytes: loads of whole
  // vectors go at half the rate beside those of tiles.
  [[gnu::always_inline]] void lookUp(int h, Lines& lines) const {
    const uint8_t* const from = block + h * 16 * kVector;
    int8_t(*const low)[kVector] = out->codes[2 * h], (*const high)[kVector] = out->codes[2 * h + 1];
    const auto* const place = &places[h * 4];
    const __m512i nibble = _mm512_set1_epi8(15);
    transpose([&](int i) { return loadBytes(from + i * kVector); },
              [&](int r, __m512i codes) __attribute__((always_inline)) {
                auto table = [&](int g) { return _mm_load_si128(reinterpret_cast<const __m128i*>(kCodeTable.rows[0] + place[g][r])); };
                const __m256i left = _mm256_inserti128_si256(_mm256_castsi128_si256(table(0)), table(1), 1);
                const __m256i right = _mm256_inserti128_si256(_mm256_castsi128_si256(table(2)), table(3), 1);
                const __m512i tables = _mm512_inserti64x4(_mm512_castsi256_si512(left), right, 1);
                lines.next();
                _mm512_store_si512(low[r], _mm512_shuffle_epi8(tables, _mm512_and_si512(codes, nibble)));
                _mm512_store_si512(high[r], _mm512_shuffle_epi8(tables, _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble)));
              });
  }

  [[gnu::always_inline]] void multiply(int h, Lines& lines) const {
    constexpr int planes = kGroup<format> / 8;  // of two words
    __m512i even[16], odd[16];
    for (int i = 0; i < 16; i += planes) {
      const Scales s = scalesOf<format>(block, (h * 16 + i) / planes);
      const VF exact = mul(inverse, set1(kFraction));
      const VI factor = toInt(mul(s.scale, exact));
      const VI start = kHasMin ? toInt(mul(s.min, exact)) : _mm512_mullo_epi32(factor, set1Int(kZeroCode<format>));
      const VI factors = twice(factor), offset = twice(subInt(set1Int(kFraction / 2), start));
      for (int j = i; j < i + planes; j++) {
        const Codes codes = codesOf<format>(block, h * 16 + j);
        even[j] = foldedCodes(codes.even, factors, offset);
        odd[j] = foldedCodes(codes.odd, factors, offset);
      }
    }
    transpose([&](int i) { return even[i]; }, [&](int r, __m512i row) { lines.next(), _mm512_store_si512(out->codes[2 * h][r], row); });
    transpose([&](int i) { return odd[i]; }, [&](int r, __m512i row) { lines.next(), _mm512_store_si512(out->codes[2 * h + 1][r], row); });
  }
};

// ---- products

struct SquareTiles : TileShapes {
  SquareTiles() {
    for (int i = 0; i < 8; i++) shape(i, kPanelRows, kVector / 4);
  }
};

// Of a panel and sixteen rows of activations: [panel's row][row].
using Sums = int32_t[kPanelRows][16];

// Sums of a block over one or two panels and one or two tiles of rows: [tile * 2 + panel]. What is done meanwhile is taken in
// small bites, between a step's products and the next one's tiles: those wait for registers, and all behind them as well. Rows
// are read past the first cache, which holds weights, sums and results.
template <int panels, int tiles, class Meanwhile>
inline void blockSums(const Folded* weights, const uint8_t* x, const uint8_t* x2, Sums* out, Meanwhile meanwhile) {
  touch();
  _tile_zero(0);
  if constexpr (panels > 1) _tile_zero(1);
  if constexpr (tiles > 1) _tile_zero(2);
  if constexpr (tiles > 1 && panels > 1) _tile_zero(3);
#pragma GCC unroll 4
  for (int s = 0; s < kSteps; s++) {
    _tile_loadd(4, weights[0].codes[s], kVector);
    _tile_stream_loadd(5, x + s * 16 * kVector, kVector);
    if constexpr (panels > 1) _tile_loadd(6, weights[1].codes[s], kVector);
    if constexpr (tiles > 1) _tile_stream_loadd(7, x2 + s * 16 * kVector, kVector);
    _tile_dpbssd(0, 4, 5);
    if constexpr (panels > 1) _tile_dpbssd(1, 6, 5);
    if constexpr (tiles > 1) _tile_dpbssd(2, 4, 7);
    if constexpr (tiles > 1 && panels > 1) _tile_dpbssd(3, 6, 7);
    touch();
    meanwhile(s);
    touch();
  }
  _tile_stored(0, out[0], kVector);
  if constexpr (panels > 1) _tile_stored(1, out[1], kVector);
  if constexpr (tiles > 1) _tile_stored(2, out[2], kVector);
  if constexpr (tiles > 1 && panels > 1) _tile_stored(3, out[3], kVector);
  touch();
}

// Of rows that a block is folded for at once.
constexpr int kMostTiles = 16;

// Weights are fetched so many bytes before they are folded: what is fetched much earlier has left the second cache.
constexpr int64_t kFetchLead = 60 << 10;

// At most kMostTiles tiles of rows over all panels, which go in pairs. While tiles sum up a block of two panels over two tiles of
// rows, the sums before them are scaled and the next block is folded.
template <int format> struct FoldedProduct {
  static constexpr int kBytes = kGeometry[format].bytes;
  const uint8_t* const first;
  const int panels, blocks;
  const uint8_t* const x;  // [tile][block]
  const int tokens;
  const Results out;
  const uint8_t* const after;  // what is read next; nullptr where all was fetched before
  const int64_t bytes = int64_t{panels} * blocks * kBytes, lead = std::min(bytes, kFetchLead);
  const int tiles, fetched = out.far && blocks > 1 ? (16 + blocks - 2) / (blocks - 1) : 0;  // lines of results with each block
  alignas(64) Sums sums[2][4];
  alignas(64) float results[2][kMostTiles][kPanelRows][16];
  Folded weights[2][2];
  Folding<format> foldings[2];
  alignas(64) float waitingScales[2][kPanelRows];
  Lines lines{first, 0};
  // Sums that wait to be scaled.
  int waitingBlock = -1, waitingPanel = 0, waitingTile = 0;

  FoldedProduct(const uint8_t* matrix, int numPanels, int numBlocks, const uint8_t* tiledRows, int numTokens, Results to, const uint8_t* next)
      : first(matrix), panels(numPanels), blocks(numBlocks), x(tiledRows), tokens(numTokens), out(to), after(next), tiles((numTokens + 15) / 16) {}

  const uint8_t* tiled(int tile, int b) const { return x + (static_cast<int64_t>(tile) * blocks + b) * kTiledBlock; }

  // Block n of the pairs of panels, one pair after another.
  struct Place {
    int panel, block;
  };
  Place placeOf(int n) const { return {n / blocks * 2, n % blocks}; }

  // While block n is multiplied, as many bytes are fetched: the rest of the matrix, then the beginning of what is read next.
  void fetchBeside(int n) {
    if (!after) return;
    constexpr int folding = 4 * Folding<format>::kLinesOfHalf, scaling = 2 * kPanelRows;
    static_assert(2 * kBytes <= kVector * (folding + scaling));  // no step is more than a line
    const int64_t from = lead + int64_t{2} * n * kBytes;
    const int times = folding + scaling * tiles;
    lines = {from < bytes ? first + from : after + (from - bytes), (2 * kBytes + times - 1) / times};
  }

  void prepare(int n, int p) {
    const auto [panel, b] = placeOf(n);
    if (panel + p < panels) foldings[p] = {first + (static_cast<int64_t>(panel + p) * blocks + b) * kBytes, weights[n % 2][p]};
  }

  // Half i % 2 of panel i / 2 of block n; what the next one needs takes long and is begun before.
  void fold(int n, int i) {
    if (i == 1) prepare(n, 1);
    if (i == 3) prepare(n + 1, 0);
    if (placeOf(n).panel + i / 2 < panels) foldings[i / 2].half(i % 2, lines);
  }

  // Scales the sums that wait: tile i / 2 of rows, panel i % 2.
  void scale(const Sums* from, int i) {
    const int b = waitingBlock, panel = waitingPanel + i % 2, tile = waitingTile + i / 2;
    if (b < 0 || panel >= panels || tile >= tiles) return;
    const VF acts = load(reinterpret_cast<const float*>(tiled(tile, b) + kSteps * 16 * kVector));
    const float* scales = waitingScales[i % 2];
    auto& result = results[i % 2][tile];
    float* to = result[0];
    const int32_t* sums = from[i][0];
    asm("" : "+r"(scales), "+r"(sums), "+r"(to));  // or GCC keeps each row's address
    Lines here = lines;
    if (b == 0)
#pragma GCC unroll 16
      for (int r = 0; r < kPanelRows; r++) here.next(), store(to + r * 16, mul(mul(toFloat(loadInt(sums + r * 16)), acts), set1(scales[r])));
    else
#pragma GCC unroll 16
      for (int r = 0; r < kPanelRows; r++) here.next(), store(to + r * 16, fma(mul(toFloat(loadInt(sums + r * 16)), acts), set1(scales[r]), load(to + r * 16)));
    lines = here;
    fetchResults(b, panel, tile);
    if (b == blocks - 1) finish(result, panel, tile);
  }

  // Lines that results go to come from memory as late as stores would have them; a few with each block before the last.
  void fetchResults(int b, int panel, int tile) const {
    if (b == blocks - 1) return;
    for (int i = b * fetched; i < (b + 1) * fetched && i < 16 && tile * 16 + i < tokens; i++) prefetchFar(resultAt(tile * 16 + i, panel));
  }

  float* resultAt(int r, int panel) const { return out.data + (out.rows ? out.rows[r] : r) * out.stride + panel * kPanelRows; }

  // [panel's row][row] to [row][panel's row]
  void finish(const float (&from)[kPanelRows][16], int panel, int tile) const {
    const int first = tile * 16, width = out.width - panel * kPanelRows;
    if (width >= kPanelRows && first + 16 <= tokens) return finishTile<true>(from, panel, first, 0xffff);
    finishTile<false>(from, panel, first, width >= kPanelRows ? 0xffff : static_cast<__mmask16>((1 << width) - 1));
  }

  template <bool whole> [[gnu::always_inline]] void finishTile(const float (&from)[kPanelRows][16], int panel, int first, __mmask16 there) const {
    auto all = [&](auto put) __attribute__((always_inline)) {
      transpose([&](int r) { return loadBytes(from[r]); },
                [&](int r, __m512i values) __attribute__((always_inline)) {
                  if (whole || first + r < tokens) put(first + r, resultAt(first + r, panel), _mm512_castsi512_ps(values));
                });
    };
    auto load = [&](const float* at) __attribute__((always_inline)) { return whole ? _mm512_loadu_ps(at) : _mm512_maskz_loadu_ps(there, at); };
    auto store = [&](float* at, VF sum) __attribute__((always_inline)) {
      if constexpr (whole) _mm512_storeu_ps(at, sum);
      else _mm512_mask_storeu_ps(at, there, sum);
    };
    if (out.weights) all([&](int r, float* at, VF sum) __attribute__((always_inline)) { store(at, fma(sum, set1(out.weights[r]), load(at))); });
    else if (out.adds) all([&](int, float* at, VF sum) __attribute__((always_inline)) { store(at, add(load(at), sum)); });
    else all([&](int, float* at, VF sum) __attribute__((always_inline)) { store(at, sum); });
  }

  void run() {
    const int bites = (tiles + 1) / 2 * kSteps;
    prepare(0, 0);
    for (int i = 0; i < 4; i++) fold(0, i);
    int turn = 0, n = 0;
    for (int panel = 0; panel < panels; panel += 2)
      for (int b = 0; b < blocks; b++, n++) {
        const Folded* own = weights[n % 2];
        fetchBeside(n);
        int bite = 0, folded = 0;
        for (int tile = 0; tile < tiles; tile += 2, turn ^= 1) {
          auto meanwhile = [&](int step) {
            // The first step still waits for these sums.
            if (step > 0) scale(sums[turn ^ 1], step - 1);
            if (step == kSteps - 1) scale(sums[turn ^ 1], step);
            bite++;
            if (folded * bites < bite * 4) fold(n + 1, folded++);
          };
          const uint8_t *x1 = tiled(tile, b), *x2 = tiled(tile + 1, b);
          const bool twoPanels = panel + 1 < panels;
          if (tile + 1 < tiles) {
            if (twoPanels) blockSums<2, 2>(own, x1, x2, sums[turn], meanwhile);
            else blockSums<1, 2>(own, x1, x2, sums[turn], meanwhile);
          } else {
            if (twoPanels) blockSums<2, 1>(own, x1, x2, sums[turn], meanwhile);
            else blockSums<1, 1>(own, x1, x2, sums[turn], meanwhile);
          }
          waitingBlock = b, waitingPanel = panel, waitingTile = tile;
          for (int p = 0; p < 2; p++) store(waitingScales[p], load(own[p].scale));
        }
      }
    for (int i = 0; i < 4; i++) scale(sums[turn ^ 1], i);
  }
};

template <int format>
void multiplyFolded(const uint8_t* first, int panels, int columns, const uint8_t* x, int tokens, const uint8_t* next, Results out) {
  const int blocks = (columns + kBlock - 1) / kBlock, tiles = (tokens + 15) / 16, chunks = (tiles + kMostTiles - 1) / kMostTiles;
  configure(SquareTiles());
  for (int i = 0; i < chunks; i++) {
    const int from = tiles * i / chunks, to = tiles * (i + 1) / chunks, rows = (to == tiles ? tokens : to * 16) - from * 16;
    Results part = out;
    if (out.rows) part.rows += from * 16, part.weights += from * 16;
    else part.data += from * 16 * out.stride;
    FoldedProduct<format>(first, panels, blocks, x + static_cast<int64_t>(from) * blocks * kTiledBlock, rows, part, i == 0 ? next : nullptr).run();
  }
  release();
}

void matmulFolded(int format, const uint8_t* first, int panels, int columns, const uint8_t* x, int tokens, const uint8_t* next, Results out) {
  switch (format) {
    case Q4_0: return multiplyFolded<Q4_0>(first, panels, columns, x, tokens, next, out);
    case Q4_K: return multiplyFolded<Q4_K>(first, panels, columns, x, tokens, next, out);
    case Q4_S: return multiplyFolded<Q4_S>(first, panels, columns, x, tokens, next, out);
    case Q5_K: return multiplyFolded<Q5_K>(first, panels, columns, x, tokens, next, out);
    default: return multiplyFolded<Q6_K>(first, panels, columns, x, tokens, next, out);
  }
}

}  // namespace
