// How much of a query's attention each block of 16 coded tokens gets, estimated over the sixteen lanes of a vec_*.h from
// the upper plane of the keys. src/backend/reference/estimate.ts says what is estimated, and in which order: dot
// products are of integers, so that every instruction set gets the same bits and chooses the same blocks.
#pragma once
#include "format.h"
#include "kernels.h"
#include "kv-inl.h"

namespace {

constexpr float kLog2e = 1.44269504088896341f;

// Queries as integers.
inline void prepareScan(const float* q, int group, int headDim, ScanQueries* out) {
  for (int g = 0; g < group; g++) {
    const float* x = q + g * headDim;
    VF most = zero();
    for (int i = 0; i < headDim; i += 16) most = maxOf(abs(load(x + i)), most);
    const float largest = maxLanes(most);
    const bool tiny = !(largest > 1e-30f);  // the reciprocal would overflow
    const VF inverse = set1(tiny ? 0.0f : 127.0f / largest);
    VI sum = zeroInt();
    for (int i = 0; i < headDim; i += 16) {
      const VI codes = toInt(mul(load(x + i), inverse));
      storeBytes(out->codes[g] + i, codes);
      sum = addInt(sum, codes);
    }
    out->middle[g] = 1.5f * static_cast<float>(sumLanesInt(sum));
    out->unit[g] = (tiny ? 0.0f : largest / 127.0f) * (64.0f * kLog2e);
  }
}

// sums [heads][blocks] of products with the two upper bits of keys; blocks that lie one after another share each load of a query.
template <int words, int heads, int blocks> inline void scanBlocks(const uint8_t* plane, const int8_t (*q)[kMaxHeadDim], VI* sums) {
#pragma GCC unroll 16
  for (int j = 0; j < heads * blocks; j++) sums[j] = zeroInt();
#pragma GCC unroll 8
  for (int line = 0; line < 2 * words; line++) {
    VB codes[blocks];
    for (int b = 0; b < blocks; b++) codes[b] = loadBytes(lineAt(plane, b * 2 * words + line));
    auto add = [&]<int vector>() {
      VB two[blocks];
      for (int b = 0; b < blocks; b++) two[b] = pairAt<2 * vector>(codes[b]);
#pragma GCC unroll 8
      for (int g = 0; g < heads; g++) {
        const VB query = fourBytes(q[g] + line * 16 + vector * 4);
#pragma GCC unroll 2
        for (int b = 0; b < blocks; b++) sums[g * blocks + b] = dot(sums[g * blocks + b], two[b], query);
      }
    };
    add.template operator()<0>(), add.template operator()<1>(), add.template operator()<2>(), add.template operator()<3>();
  }
}

// 2^(x - top) to 6 %, right in the mean (Schraudolph 1999).
inline VF roughPower(VF x, float top) {
  constexpr int32_t one = 127 << 23, lower = static_cast<int32_t>(0.0575 * (1 << 23) + 0.5);
  constexpr float unit = 1 << 23;  // products with it are exact
  const VF place = maxOf(fma(x, set1(unit), set1(-top * unit)), set1(-60 * unit));
  return bitsAsFloats(addInt(toInt(place), set1Int(one - lower)));
}

constexpr float kMostLevel = 0x1p20f;

// Scores in powers of two; products are counted from the middle.
inline VF levelOf(VF products, VF scales, float unit, float base) { return add(mul(products, mul(scales, set1(unit))), set1(base)); }

inline int32_t nearest(float x) {
  alignas(64) int32_t lanes[16];
  storeInt(lanes, toInt(set1(x)));
  return lanes[0];
}

// What is read of a page.
constexpr int scannedBytes(int headDim) { return 2 * headDim + 2 * kPageTokens + kPageTokens * headDim / 4; }

// Levels of one page for `heads` queries, [heads][kPageTokens]; the largest of each. Meanwhile what will be read of
// the next page is fetched: it lies elsewhere, where the processor does not look by itself.
template <int words, int heads> void headLevels(const ScanQueries& q, int first, const float* bases, const PartPlace& keys, const uint8_t* next, float* levels, float* largest) {
  constexpr int blocks = kBlockVectors, step = 16 * blocks, bytes = scannedBytes(words * 32);
  VF most[heads];
  for (int g = 0; g < heads; g++) most[g] = set1(-kMostLevel);
  for (int t = 0; t < kPageTokens; t += step) {
    for (int i = t * bytes / kPageTokens / 64 * 64; i < (t + step) * bytes / kPageTokens; i += 64) prefetchFar(next + i);
    VI sums[heads * blocks];
    scanBlocks<words, heads, blocks>(keys.planes[0] + t * words * 8, q.codes + first, sums);
    VF scales[blocks];
    for (int b = 0; b < blocks; b++) scales[b] = loadHalf(keys.scales + t + b * 16);
#pragma GCC unroll 16
    for (int j = 0; j < heads * blocks; j++) {
      const int g = j / blocks, b = j % blocks;
      const VF level = levelOf(sub(toFloat(sums[j]), set1(q.middle[first + g])), scales[b], q.unit[first + g], bases[first + g]);
      most[g] = maxOf(level, most[g]);
      store(levels + (first + g) * kPageTokens + t + b * 16, level);
    }
  }
  for (int g = 0; g < heads; g++) largest[first + g] = maxLanes(most[g]);
}

template <int words> struct VectorScan {
  const ScanQueries& q;
  const int group;

  void levels(const PartPlace& keys, const float* bases, const uint8_t* next, float* levels, float* largest) const {
    int first = 0;
    for (; first + 8 <= group; first += 8) headLevels<words, 8>(q, first, bases, keys, next, levels, largest);
    for (; first + 4 <= group; first += 4) headLevels<words, 4>(q, first, bases, keys, next, levels, largest);
    for (; first < group; first++) headLevels<words, 1>(q, first, bases, keys, next, levels, largest);
  }
};

// Bounds one query's levels so that what follows is finite; the largest.
inline float boundLevels(float* levels) {
  VF most = set1(-kMostLevel);
  for (int t = 0; t < kPageTokens; t += 16) {
    const VF bounded = minOf(maxOf(load(levels + t), set1(-kMostLevel)), set1(kMostLevel));
    store(levels + t, bounded);
    most = maxOf(bounded, most);
  }
  return maxLanes(most);
}

// `Scan` is how a page's levels come about: VectorScan or what gives the same bits.
template <int words, class Scan> void scanPages(const Scan& scan, const float* rotated, int group, const KvPage* pages, int count, float* masses, int32_t* tops) {
  constexpr int headDim = words * 32;
  alignas(64) float levels[kMaxGroup * kPageTokens], sums[16];
  for (int p = 0; p < count; p++, masses += group * kPageBlocks, tops += group) {
    const PartPlace keys = keyPlace(pages[p].pieces, headDim);
    alignas(64) float bases[kMaxGroup], largest[kMaxGroup];
    VF mean[headDim / 16], products[kMaxGroup];
    meanOf<headDim / 16>(keys.mean, mean);
    for (int g = 0; g < kMaxGroup; g++) {
      products[g] = zero();
      for (int i = 0; g < group && i < headDim / 16; i++) products[g] = add(products[g], mul(load(rotated + g * headDim + i * 16), mean[i]));
    }
    sumLanes16(products, bases);
    for (float& base : bases) base *= kLog2e;
    scan.levels(keys, bases, pages[p + 1 < count ? p + 1 : p].pieces[0], levels, largest);
    for (int g = 0; g < group; g++) {
      // What is so far below counts as nothing in any case.
      if (!(largest[g] < kMostLevel && largest[g] > 64 - kMostLevel)) largest[g] = boundLevels(levels + g * kPageTokens);
      tops[g] = nearest(largest[g]);
    }
    for (int g = 0; g < group; g += 2) {
      VF powers[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; i++) {
        const int head = g + i / kPageBlocks < group ? g + i / kPageBlocks : g;
        powers[i] = roughPower(load(levels + head * kPageTokens + i % kPageBlocks * 16), static_cast<float>(tops[head]));
      }
      sumLanes16(powers, sums);
      memcpy(masses + g * kPageBlocks, sums, (g + 1 < group ? 2 : 1) * kPageBlocks * 4);
    }
  }
}

}  // namespace
