// Attention of one row, over the sixteen lanes of a vec_*.h that the including file has chosen, which says how many sums stay
// in registers: kBlockHeads heads of kBlockVectors vectors.
#pragma once
#include "kv-inl.h"
#include "prefill-inl.h"
#include "softmax-inl.h"

namespace {

// Pages of halves are fetched line by line while they are read, as evenly as can be, for memory takes as long for one as its
// products do: half a panel ahead, and from where scores become weights on so many lines of each head further.
constexpr int kBlockTokens = kPageTokens / kPageBlocks, kLine = 32, kMeanwhile = 16;

// out += probabilities of one page times its values, for `heads` heads: a block of tokens, then a few columns at a time.
template <int heads>
inline void headValues(const float* p, int headDim, const uint16_t* values, int count, const uint16_t* after, int lead, float* out) {
  constexpr int vectors = kBlockVectors, n = heads * vectors;
  const int lines = kPageTokens * headDim / kLine;
  for (int first = 0; first < count; first += kBlockTokens) {
    const int end = first + kBlockTokens < count ? first + kBlockTokens : count;
    for (int d = 0; d < headDim; d += 16 * vectors) {
      const int line = lead + (first * headDim + d * kBlockTokens) / kLine;
      const uint16_t* next = line < lines ? values + line * kLine : after + (line - lines) * kLine;
      VF sum[n];
      auto at = [&](int j) { return out + j / vectors * headDim + d + j % vectors * 16; };
#pragma GCC unroll 16
      for (int j = 0; j < n; j++) sum[j] = load(at(j));
      for (int t = first; t < end; t++) {
        VF value[vectors];
        if ((t - first) * vectors % 2 == 0) prefetchFar(next + (t - first) * vectors * 16);
        for (int v = 0; v < vectors; v++) value[v] = loadHalf(values + t * headDim + d + v * 16);
#pragma GCC unroll 16
        for (int j = 0; j < n; j++) sum[j] = fma(set1(p[j / vectors * kPageTokens + t]), value[j % vectors], sum[j]);
      }
#pragma GCC unroll 16
      for (int j = 0; j < n; j++) store(at(j), sum[j]);
    }
  }
}

inline void pageValues(const float* p, int group, int headDim, const uint16_t* values, int count, const uint16_t* after, float* out) {
  const int lead = headDim / 2 + group * kMeanwhile;
  int g = 0;
  for (; g + kBlockHeads <= group; g += kBlockHeads) headValues<kBlockHeads>(p + g * kPageTokens, headDim, values, count, after, lead, out + g * headDim);
  for (; g < group; g++) headValues<1>(p + g * kPageTokens, headDim, values, count, after, lead, out + g * headDim);
}

inline void startGathering(int group, int headDim, Gathered* out) {
  for (int g = 0; g < group; g++) out->largest[g] = kMasked, out->total[g] = 0;
  memset(out->sums, 0, static_cast<size_t>(2) * group * headDim * 4);
}

// Online softmax, page by page in order, so that the result does not depend on chunking. `Codes` is how pages of codes are read:
// VectorCodes or what gives the same bits.
template <int chunks, class Codes> void attendChunks(const float* q, int group, const KvPage* pages, int context, Gathered* out) {
  constexpr int headDim = chunks * 16;
  alignas(64) float scores[kMaxGroup * kPageTokens];
  const int width = group * headDim;
  float* sums[2] = {out->sums, out->sums + width};  // plain, rotated
  Codes codes(group);
  bool known = false;
  startGathering(group, headDim, out);
  for (int start = 0; start < context; start += kPageTokens, pages++) {
    const int count = context - start < kPageTokens ? context - start : kPageTokens;
    const KvPage& next = pages[start + kPageTokens < context ? 1 : 0];
    if (pages->tier != 0 && !known) codes.prepare(q + width, group), known = true;
    if (pages->tier == 0) pageScores<chunks>(q, group, pages->keys, count, pages->values, scores);
    else codes.scores(q + width, group, *pages, next, scores);
    const uint16_t* ahead = pages->values + headDim / 2 * kLine;
    weighScores(scores, group, headDim, count, out, [&](int g) {
      for (int i = 0; pages->tier == 0 && i < kMeanwhile; i++) prefetchFar(ahead + (g * kMeanwhile + i) * kLine);
    });
    if (pages->tier == 0) pageValues(scores, group, headDim, pages->values, count, next.tier == 0 ? next.keys : pages->keys, sums[0]);
    else codes.values(scores, group, *pages, sums[1]);
  }
}

// The same of some blocks of pages of codes, moved together into full pages.
template <int chunks, class Codes> void attendSomeBlocks(const float* q, int group, const KvPage* pages, int n, Gathered* out) {
  constexpr int headDim = chunks * 16;
  alignas(64) float scores[kMaxGroup * kPageTokens];
  const int width = group * headDim;
  Codes codes(group);
  BlockPage<headDim> together;
  startGathering(group, headDim, out);
  codes.prepare(q + width, group);
  auto flush = [&] {
    const int count = together.tokens();
    const KvPage& page = together.take();
    codes.scores(q + width, group, page, page, scores);
    maskScores(scores, group, count);
    weighScores(scores, group, headDim, count, out);
    codes.values(scores, group, page, out->sums + width);
  };
  for (int p = 0; p < n; p++) {
    if (p + kPageBlocks < n) prefetchBlocks<headDim>(pages[p + kPageBlocks]);
    for (int b = 0; b < kPageBlocks; b++) {
      if (!(pages[p].blocks >> b & 1)) continue;
      if (!together.takes(pages[p])) flush();
      together.add(pages[p], b);
    }
  }
  flush();
}

}  // namespace
