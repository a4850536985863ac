// Attention of many rows over a page that is unpacked once for all of them, over the sixteen lanes of a vec_*.h. The
// including file says how many sums stay in registers: kBlockHeads heads of kBlockVectors vectors.
#pragma once
#include "kv-inl.h"
#include "softmax-inl.h"

namespace {

// ---- a page's codes as floats

// Four vectors of the codes in a vector's words, byte by byte, as levels counted from the middle.
template <int bits> inline void levelsOf(VI codes, VF (&out)[4]) {
  auto level = [&](VI code) { return sub(toFloat(andInt(code, 0xff)), set1(kMiddle<bits>)); };
  out[0] = level(codes), out[1] = level(downBy<8>(codes)), out[2] = level(downBy<16>(codes)), out[3] = level(downBy<24>(codes));
}

// Keys in panels, as they lie in 16 bits.
template <int chunks, int tier> void keyPanels(const PartPlace& part, float* out) {
  constexpr int headDim = chunks * 16, bits = kTierBits[tier].key;
  alignas(64) float mean[headDim];
  for (int i = 0; i < headDim; i += 16) store(mean + i, loadHalf(part.mean + i));
  for (int b = 0; b < kPageBlocks; b++) {
    const BlockPlanes<kKeys> at(part.planes, kTierPlanes[tier], b, headDim);
    const VF step = mul(loadHalf(part.scales + b * 16), set1(static_cast<float>(1 << (8 - bits))));
    float* panel = out + keyStart(b * 16, headDim);
    for (int line = 0; line < chunks; line += 2)
      overLines<kKeys, bits>(at.at, line, [&]<int vector>(int line, const FourCodes& codes) {
        const int channel = (line * 4 + vector) * 4;
        VF levels[4];
        levelsOf<bits>(codesFrom<bits, vector, 0x01010101>(codes), levels);
        for (int i = 0; i < 4; i++) store(panel + (channel + i) * kKeyPanel, fma(levels[i], step, set1(mean[channel + i])));
      });
  }
}

// Values as rows [kPageTokens][headDim].
template <int chunks, int tier> void valueRows(const PartPlace& part, float* out) {
  constexpr int headDim = chunks * 16, bits = kTierBits[tier].value;
  for (int b = 0; b < kPageBlocks; b++) {
    const BlockPlanes<kValues> at(part.planes, kTierPlanes[tier], b, headDim);
    for (int line = 0; line < chunks; line += 2)
      overLines<kValues, bits>(at.at, line, [&]<int quad>(int line, const FourCodes& codes) {
        const int token = b * 16 + quad * 4;
        const uint16_t* scales = part.scales + line * 2 / chunks * kPageTokens + token;
        const VF mean = loadHalf(part.mean + line * 16);
        VF levels[4];
        levelsOf<bits>(codesFrom<bits, quad, 0x01010101>(codes), levels);
        for (int i = 0; i < 4; i++) {
          const VF step = set1(halfToFloat(scales[i]) * static_cast<float>(1 << (8 - bits)));
          store(out + (token + i) * headDim + line * 16, fma(levels[i], step, mean));
        }
      });
  }
}

// ---- the arithmetic of single rows

constexpr int kPanelWidth = 16 * kBlockVectors;  // columns of values

// [panels][kPageTokens][kPanelWidth]
inline void valuePanels(const uint16_t* values, int headDim, float* out) {
  for (int column = 0; column < headDim; column += kPanelWidth)
    for (int t = 0; t < kPageTokens; t++)
      for (int i = 0; i < kPanelWidth; i += 16, out += 16) store(out, loadHalf(values + t * headDim + column + i));
}

// Keys' codes block by block, then values' strip by strip.
template <int chunks, int tier> void unpackCodes(const KvPage& page, int32_t* keys, int32_t* values) {
  constexpr int headDim = chunks * 16;
  const PartPlace keyPart = keyPlace(page.pieces, headDim), valuePart = valuePlace(page.pieces, headDim);
  for (int b = 0; b < kPageBlocks; b++) keyCodes<chunks, tier>(keyPart.planes, b, keys + b * kBlockWords<chunks>);
  for (int strip = 0; strip * 4 < chunks; strip++) valueCodes<chunks, tier>(valuePart.planes, strip, values + strip * kStripWords<chunks>);
}

template <int chunks> void unpackPageChunks(const KvPage& page, float* out) {
  float* values = out + kPageTokens * chunks * 16;
  auto words = [](float* p) { return reinterpret_cast<int32_t*>(p); };
  if (page.tier == 1) return unpackCodes<chunks, 1>(page, words(out), words(values));
  if (page.tier == 2) return unpackCodes<chunks, 2>(page, words(out), words(values));
  if (page.tier == 3) return unpackCodes<chunks, 3>(page, words(out), words(values));
  widen(page.keys, chunks * 16, out);
  valuePanels(page.values, chunks * 16, values);
}

inline void unpackPage(const KvPage& page, int headDim, float* out) {
  switch (headDim) {
    case 32: return unpackPageChunks<2>(page, out);
    case 64: return unpackPageChunks<4>(page, out);
    default: return unpackPageChunks<8>(page, out);
  }
}

// Products of `heads` queries and 16 * vectors keys of a panel, in halves or floats: scores[head * kPageTokens + key]. A
// score is summed channel by channel, whatever else is computed beside it. Of halves the lines are fetched half a panel
// ahead, from the next one in the end: further a processor does not look by itself, and much earlier would be in the way.
template <int chunks, int heads, int vectors, class T> inline void panelScores(const float* q, const T* keys, const T* next, float* scores) {
  constexpr int headDim = chunks * 16, half = headDim / 2, n = heads * vectors;
  VF sum[n];
  for (int j = 0; j < n; j++) sum[j] = zero();
  for (int i = 0; i < headDim; i++) {
    const T* at = keys + i * kKeyPanel;
    VF key[vectors];
    if constexpr (sizeof(T) == 2) {
      prefetchFar(i < half ? at + half * kKeyPanel : next + (i - half) * kKeyPanel);
      for (int v = 0; v < vectors; v++) key[v] = loadHalf(at + v * 16);
    } else {
      for (int v = 0; v < vectors; v++) key[v] = load(at + v * 16);
    }
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) sum[j] = fma(set1(q[j / vectors * headDim + i]), key[j % vectors], sum[j]);
  }
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) store(scores + j / vectors * kPageTokens + j % vectors * 16, sum[j]);
}

// Scores of one page, [group][kPageTokens]; keys beyond the context are masked. `after` is what is read next.
template <int chunks, class T> inline void pageScores(const float* q, int group, const T* keys, int count, const T* after, float* scores) {
  constexpr int headDim = chunks * 16;
  for (int t = 0; t < count; t += 16 * kBlockVectors) {
    const T* panel = keys + keyStart(t, headDim);
    const T* next = t + kKeyPanel < count ? panel + kKeyPanel * headDim : after;
    int g = 0;
    for (; g + kBlockHeads <= group; g += kBlockHeads)
      panelScores<chunks, kBlockHeads, kBlockVectors>(q + g * headDim, panel, next, scores + g * kPageTokens + t);
    for (; g < group; g++) panelScores<chunks, 1, kBlockVectors>(q + g * headDim, panel, next, scores + g * kPageTokens + t);
  }
  maskScores(scores, group, count);
}

// out [heads][headDim], a panel's columns of it, += weights, `stride` a head, times the panel of values.
template <int heads, int vectors> void panelValues(const float* w, int stride, const float* values, int count, int headDim, float* out) {
  constexpr int n = heads * vectors;
  VF sum[n];
  auto at = [&](int j) { return out + j / vectors * headDim + j % vectors * 16; };
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) sum[j] = load(at(j));
  for (int t = 0; t < count; t++, values += vectors * 16) {
    VF value[vectors];
    for (int v = 0; v < vectors; v++) value[v] = load(values + v * 16);
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) sum[j] = fma(set1(w[j / vectors * stride + t]), value[j % vectors], sum[j]);
  }
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) store(at(j), sum[j]);
}

template <int chunks> void attendPlain(const float* q, int group, const float* unpacked, int count, Gathered* out) {
  constexpr int headDim = chunks * 16;
  alignas(64) float scores[kMaxGroup * kPageTokens];
  pageScores<chunks>(q, group, unpacked, count, unpacked, scores);
  weighScores(scores, group, headDim, count, out);
  for (int column = 0; column < headDim; column += kPanelWidth) {
    const float* panel = unpacked + kPageTokens * (headDim + column);
    float* sums = out->sums + column;
    int g = 0;
    for (; g + kBlockHeads <= group; g += kBlockHeads)
      panelValues<kBlockHeads, kBlockVectors>(scores + g * kPageTokens, kPageTokens, panel, count, headDim, sums + g * headDim);
    for (; g < group; g++) panelValues<1, kBlockVectors>(scores + g * kPageTokens, kPageTokens, panel, count, headDim, sums + g * headDim);
  }
}

template <int chunks, int tier> void attendCodes(const float* q, int group, const KvPage& page, const float* unpacked, Gathered* out) {
  constexpr int headDim = chunks * 16;
  constexpr TierBits bits = kTierBits[tier];
  alignas(64) float scores[kMaxGroup * kPageTokens];
  const auto* keys = reinterpret_cast<const int32_t*>(unpacked);
  const auto* values = reinterpret_cast<const int32_t*>(unpacked + kPageTokens * headDim);
  float* sums = out->sums + group * headDim;
  WholeQuery queries[kMaxGroup];
  WholeWeights weights[kMaxGroup];
  wholeQueries<chunks>(q, group, queries);
  for (int b = 0; b < kPageBlocks; b += kBlockVectors)
    blockProducts<chunks / 2, bits.key, kBlockVectors>(queries, group, keys + b * kBlockWords<chunks>, scores + b * 16);
  scaleScores<chunks>(q, group, keyPlace(page.pieces, headDim), page.means, bits.key, scores);
  weighScores(scores, group, headDim, kPageTokens, out);
  const PartPlace valuePart = valuePlace(page.pieces, headDim);
  addMeans<chunks>(scores, group, valuePart, page.means, sums);
  pairedWeights(scores, group, valuePart, bits.value, weights);
  for (int strip = 0; strip * 4 < chunks; strip++)
    stripProducts<chunks, bits.value>(weights, group, values + strip * kStripWords<chunks>, strip, sums);
}

// Pages of codes are full: what is behind a window is.
template <int chunks> void attendPageChunks(const float* q, int group, const KvPage& page, const float* unpacked, int count, Gathered* out) {
  switch (page.tier) {
    case 1: return attendCodes<chunks, 1>(q, group, page, unpacked, out);
    case 2: return attendCodes<chunks, 2>(q, group, page, unpacked, out);
    case 3: return attendCodes<chunks, 3>(q, group, page, unpacked, out);
    default: return attendPlain<chunks>(q, group, unpacked, count, out);
  }
}

inline void attendPage(const float* q, int group, int headDim, const KvPage& page, const float* unpacked, int count, Gathered* out) {
  switch (headDim) {
    case 32: return attendPageChunks<2>(q, group, page, unpacked, count, out);
    case 64: return attendPageChunks<4>(q, group, page, unpacked, count, out);
    default: return attendPageChunks<8>(q, group, page, unpacked, count, out);
  }
}

// ---- by products of packed factors (Dao 2023): the same steps with sums in the products' own order and precision

inline int64_t packedKeys(const GemmKernels& products, int headDim) {
  return static_cast<int64_t>(roundUp(kPageTokens, products.columns)) * wordsOf(headDim, products.perWord);
}

// Keys and values.
inline int64_t packedPage(const GemmKernels& products, int headDim) {
  return packedKeys(products, headDim) + static_cast<int64_t>(roundUp(headDim, products.columns)) * wordsOf(kPageTokens, products.perWord);
}

// From panels: a register tile's columns are one, or half of one.
inline void packKeys(const GemmKernels& products, const float* panels, int headDim, float* out) {
  for (int t = 0; t < kPageTokens; t += kKeyPanel)
    products.packRight({panels + t * headDim, kKeyPanel, 1}, headDim, kKeyPanel, out + t * wordsOf(headDim, products.perWord));
}

template <int chunks> inline void packCodedPage(const GemmKernels& products, const KvPage& page, float* rows, float* out) {
  constexpr int headDim = chunks * 16;
  const PartPlace keys = keyPlace(page.pieces, headDim), values = valuePlace(page.pieces, headDim);
  auto coded = [&]<int tier>() {
    keyPanels<chunks, tier>(keys, rows);
    packKeys(products, rows, headDim, out);
    valueRows<chunks, tier>(values, rows);
  };
  if (page.tier == 1) coded.template operator()<1>();
  else if (page.tier == 2) coded.template operator()<2>();
  else coded.template operator()<3>();
}

inline void packPage(const GemmKernels& products, const KvPage& page, int headDim, int count, float* out) {
  alignas(64) float rows[kPageTokens * kMaxHeadDim];
  if (page.tier == 0) {
    widen(page.keys, headDim, rows);
    packKeys(products, rows, headDim, out);
    widen(page.values, headDim, rows);
    // Nothing that a former sequence left there may be multiplied, even by zero.
    for (int i = count * headDim; i < kPageTokens * headDim; i += 16) store(rows + i, zero());
  } else if (headDim == 32) {
    packCodedPage<2>(products, page, rows, out);
  } else if (headDim == 64) {
    packCodedPage<4>(products, page, rows, out);
  } else {
    packCodedPage<8>(products, page, rows, out);
  }
  products.packRight({rows, headDim, 1}, kPageTokens, headDim, out + packedKeys(products, headDim));
}

inline LeftPanels leftPanels(const GemmKernels& products, const float* packed, int depth) {
  return {packed, static_cast<int64_t>(products.rows) * wordsOf(depth, products.perWord), products.rows};
}

constexpr int kPackedRows = 32;  // whose scores and weights share the first cache

// A score is larger than all before: by how much what the row has gathered shrinks, which its total has done.
inline float growLargest(const PackedRows& rows, int row, float next) {
  alignas(64) float shrink[16];
  store(shrink, roughExponential(set1(rows.largest[row] - next)));
  store(rows.totals + row * 16, mul(load(rows.totals + row * 16), load(shrink)));
  rows.largest[row] = next;
  return shrink[0];
}

inline void shrinkSums(const PackedRows& rows, int row, int headDim, float by) {
  for (float* sums : rows.sums)
    for (int i = 0; i < headDim; i += 16) store(sums + row * headDim + i, mul(load(sums + row * headDim + i), set1(by)));
}

// Scores of a row over a page become weights, of which there are `count`; by how much the row's sums are to shrink.
inline float weighScoresOf(float* s, int count, const PackedRows& rows, int row) {
  VF m = set1(kMasked);
  if (count < kPageTokens)
    for (int t = count > 0 ? count : 0; t < kPageTokens; t++) s[t] = kMasked;
  if (count > 0)
    for (int t = 0; t < kPageTokens; t += 16) m = maxOf(m, load(s + t));
  const float here = maxLanes(m), shrink = here > rows.largest[row] ? growLargest(rows, row, here) : 1.0f;
  const VF largest = set1(rows.largest[row]);
#pragma GCC unroll 8
  for (int t = 0; t < kPageTokens; t += 16) store(s + t, roughExponential(sub(load(s + t), largest)));
  if (count < kPageTokens)
    for (int t = count > 0 ? count : 0; t < kPageTokens; t++) s[t] = 0;
  VF total = load(rows.totals + row * 16);
  for (int t = 0; t < kPageTokens; t += 16) total = add(total, load(s + t));
  store(rows.totals + row * 16, total);
  return shrink;
}

inline void attendPackedPage(const GemmKernels& products, const PackedRows& rows, int first, int last, int count, int group, int headDim, bool coded, const float* packed) {
  alignas(64) float scores[kPackedRows * kPageTokens], weights[kPackedRows * kPageTokens];
  const LeftPanels q = leftPanels(products, rows.q[coded], headDim);
  // Whole panels, for a row's sums must not tell whether it is in one; rows that are not meant see nothing.
  const int end = roundUp(last * group, products.rows);
  for (int row = first * group / products.rows * products.rows; row < end; row += kPackedRows) {
    const int n = end - row < kPackedRows ? end - row : kPackedRows;
    products.multiply({q.data + row / products.rows * q.panel, q.panel, q.step}, packed, n, kPageTokens, headDim, Write::set, scores, kPageTokens);
    for (int i = 0; i < n; i++) {
      const int token = (row + i) / group, seen = token < first || token >= last ? 0 : count + token - first;
      const float shrink = weighScoresOf(scores + i * kPageTokens, seen < kPageTokens ? seen : kPageTokens, rows, row + i);
      if (shrink != 1) shrinkSums(rows, row + i, headDim, shrink);
    }
    products.packLeft({scores, kPageTokens, 1}, n, kPageTokens, 1.0f, weights);
    products.multiply(leftPanels(products, weights, kPageTokens), packed + packedKeys(products, headDim), n, headDim, kPageTokens, Write::add,
                      rows.sums[coded] + row * headDim, headDim);
  }
}

inline void attendPages(const GemmKernels& products, const PackedRows& rows, int first, int last, int count, int group, int headDim, bool coded,
                        const float* packed, int pages) {
  for (int i = 0; i < pages; i++) attendPackedPage(products, rows, first, last, count, group, headDim, coded, packed + i * packedPage(products, headDim));
}

}  // namespace
