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

// 2^x to 6 %, right in the mean (Schraudolph 1999).
inline VF roughPower(VF x) {
  constexpr int32_t one = 127 << 23, lower = static_cast<int32_t>(0.0575 * (1 << 23) + 0.5);
  return bitsAsFloats(addInt(toInt(mul(maxOf(x, set1(-60.0f)), set1(1 << 23))), set1Int(one - lower)));
}

constexpr float kMostLevel = 0x1p20f;

// Scores in powers of two.
inline VF levelOf(VI products, VF scales, const ScanQueries& q, int g, float base) {
  const VF level = add(mul(sub(toFloat(products), set1(q.middle[g])), mul(scales, set1(q.unit[g]))), set1(base));
  return minOf(maxOf(level, set1(-kMostLevel)), set1(kMostLevel));
}

inline int32_t topOf(VF levels) {
  alignas(64) int32_t nearest[16];
  storeInt(nearest, toInt(set1(maxLanes(levels))));
  return nearest[0];
}

// What is read of a page.
constexpr int scannedBytes(int headDim) { return 2 * headDim + 2 * kPageTokens + kPageTokens * headDim / 4; }

// Levels of one page for `heads` queries, [heads][kPageTokens]; the largest of each as `tops`. Meanwhile what will be read of
// the next page is fetched: it lies elsewhere, where the processor does not look by itself.
template <int words, int heads> void headLevels(const ScanQueries& q, int first, const float* bases, const PartPlace& keys, const uint8_t* next, float* levels, int32_t* tops) {
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
      const VF level = levelOf(sums[j], scales[b], q, first + g, bases[first + g]);
      most[g] = maxOf(level, most[g]);
      store(levels + (first + g) * kPageTokens + t + b * 16, level);
    }
  }
  for (int g = 0; g < heads; g++) tops[first + g] = topOf(most[g]);
}

template <int words> struct VectorScan {
  const ScanQueries& q;
  const int group;

  void levels(const PartPlace& keys, const float* bases, const uint8_t* next, float* levels, int32_t* tops) const {
    int first = 0;
    for (; first + 8 <= group; first += 8) headLevels<words, 8>(q, first, bases, keys, next, levels, tops);
    for (; first + 4 <= group; first += 4) headLevels<words, 4>(q, first, bases, keys, next, levels, tops);
    for (; first < group; first++) headLevels<words, 1>(q, first, bases, keys, next, levels, tops);
  }
};

// `Scan` is how a page's levels come about: VectorScan or what gives the same bits.
template <int words, class Scan> void scanPages(const Scan& scan, const float* rotated, int group, const KvPage* pages, int count, float* masses, int32_t* tops) {
  constexpr int headDim = words * 32;
  alignas(64) float levels[kMaxGroup * kPageTokens], sums[16];
  for (int p = 0; p < count; p++, masses += group * kPageBlocks, tops += group) {
    const PartPlace keys = keyPlace(pages[p].pieces, headDim);
    float bases[kMaxGroup];
    for (int g = 0; g < group; g++) {
      VF sum = zero();
      for (int i = 0; i < headDim; i += 16) sum = add(sum, mul(load(rotated + g * headDim + i), loadHalf(keys.mean + i)));
      bases[g] = kLog2e * sumLanes(sum);
    }
    scan.levels(keys, bases, pages[p + 1 < count ? p + 1 : p].pieces[0], levels, tops);
    for (int g = 0; g < group; g += 2) {
      VF powers[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; i++) {
        const int head = g + i / kPageBlocks < group ? g + i / kPageBlocks : g;
        powers[i] = roughPower(sub(load(levels + head * kPageTokens + i % kPageBlocks * 16), set1(static_cast<float>(tops[head]))));
      }
      sumLanes16(powers, sums);
      memcpy(masses + g * kPageBlocks, sums, (g + 1 < group ? 2 : 1) * kPageBlocks * 4);
    }
  }
}

}  // namespace
