// How much of a query's attention each block of 16 coded tokens gets, estimated over the sixteen lanes of a vec_*.h from
// the two upper planes of the keys. src/backend/reference/estimate.ts says what is estimated, and in which order: dot
// products are of integers, so that every instruction set gets the same bits and chooses the same blocks.
#pragma once
#include "format.h"
#include "kernels.h"
#include "kv-inl.h"

namespace {

constexpr float kLog2e = 1.44269504088896341f;

// Queries as integers, in the order in which their codes meet those of keys: of each word of 32 channels, by the bit of a
// byte, four bytes of channels 8 apart.
void prepareScan(const float* q, int group, int headDim, ScanQueries* out) {
  for (int g = 0; g < group; g++) {
    const float* x = q + g * headDim;
    VF most = zero();
    for (int i = 0; i < headDim; i += 16) most = maxOf(abs(load(x + i)), most);
    const float largest = maxLanes(most);
    const bool tiny = !(largest > 1e-30f);  // the reciprocal would overflow
    const VF inverse = set1(tiny ? 0.0f : 127.0f / largest);
    int8_t codes[kMaxHeadDim];
    for (int i = 0; i < headDim; i += 16) storeBytes(codes + i, toInt(mul(load(x + i), inverse)));
    int sum = 0;
    for (int i = 0; i < headDim; i++) {
      out->codes[g][i / 32 * 32 + i % 8 * 4 + i % 32 / 8] = codes[i];
      sum += codes[i];
    }
    out->middle[g] = 1.5f * static_cast<float>(sum);
    out->unit[g] = (tiny ? 0.0f : largest / 127.0f) * (64.0f * kLog2e);
  }
}

// Adds what channels of this bit give to the dot products of so many blocks of 16 tokens with `heads` queries.
template <int pair, int heads, int blocks> inline void addPairs(const VB* pairs, const int8_t (*q)[kMaxHeadDim], int at, VI* sums) {
  VB codes[blocks];
  for (int b = 0; b < blocks; b++) codes[b] = pairAt<pair>(pairs[b]);
#pragma GCC unroll 8
  for (int g = 0; g < heads; g++) {
    const VB query = fourBytes(q[g] + at);
#pragma GCC unroll 2
    for (int b = 0; b < blocks; b++) sums[g * blocks + b] = dot(sums[g * blocks + b], codes[b], query);
  }
}

// sums [heads][blocks]; blocks that lie one after another share each load of a query.
template <int words, int heads, int blocks> inline void scanBlocks(const uint8_t* upperPlane, const uint8_t* lowerPlane, const int8_t (*q)[kMaxHeadDim], VI* sums) {
  VB upper[blocks][words], lower[blocks][words];
  for (int b = 0; b < blocks; b++) loadColumns<words>(upperPlane + b * words * 64, upper[b]), loadColumns<words>(lowerPlane + b * words * 64, lower[b]);
#pragma GCC unroll 16
  for (int j = 0; j < heads * blocks; j++) sums[j] = zeroInt();
#pragma GCC unroll 4
  for (int w = 0; w < words; w++) {
    VB even[blocks], odd[blocks];
    for (int b = 0; b < blocks; b++) {
      const Pairs pairs = pairsOf(upper[b][w], lower[b][w]);
      even[b] = pairs.even, odd[b] = pairs.odd;
    }
    const int at = w * 32;
    addPairs<0, heads, blocks>(even, q, at, sums);
    addPairs<0, heads, blocks>(odd, q, at + 4, sums);
    addPairs<2, heads, blocks>(even, q, at + 8, sums);
    addPairs<2, heads, blocks>(odd, q, at + 12, sums);
    addPairs<4, heads, blocks>(even, q, at + 16, sums);
    addPairs<4, heads, blocks>(odd, q, at + 20, sums);
    addPairs<6, heads, blocks>(even, q, at + 24, sums);
    addPairs<6, heads, blocks>(odd, q, at + 28, sums);
  }
}

// 2^x to 6 %, right in the mean (Schraudolph 1999).
inline VF roughPower(VF x) {
  constexpr int32_t one = 127 << 23, lower = static_cast<int32_t>(0.0575 * (1 << 23) + 0.5);
  return bitsAsFloats(addInt(toInt(mul(maxOf(x, set1(-60.0f)), set1(1 << 23))), set1Int(one - lower)));
}

// Levels (scores in powers of two) of one page for `heads` queries, [heads][kPageTokens]; the largest of each as `top`.
// Meanwhile what will be read of the next page is fetched: it lies elsewhere, where the processor does not look by itself.
template <int words, int heads> void pageLevels(const ScanQueries& q, int first, const float* bases, const PartPlace& keys, const uint8_t* next, float* levels, int32_t* top) {
  constexpr int bytes = 2 * words * 32 + 2 * kPageTokens + 2 * kPageTokens * words * 4;
  VF most[heads];
  for (int g = 0; g < heads; g++) most[g] = set1(-0x1p20f);
  constexpr int blocks = kBlockVectors, step = 16 * blocks;
  for (int t = 0; t < kPageTokens; t += step) {
    for (int i = t * bytes / kPageTokens / 64 * 64; i < (t + step) * bytes / kPageTokens; i += 64) prefetchFar(next + i);
    VI sums[heads * blocks];
    scanBlocks<words, heads, blocks>(keys.planes[0] + t * words * 4, keys.planes[1] + t * words * 4, q.codes + first, sums);
    VF scales[blocks];
    for (int b = 0; b < blocks; b++) scales[b] = loadHalf(keys.scales + t + b * 16);
#pragma GCC unroll 16
    for (int j = 0; j < heads * blocks; j++) {
      const int g = j / blocks, b = j % blocks;
      const VF products = sub(toFloat(sums[j]), set1(q.middle[first + g]));
      const VF level = add(mul(products, mul(scales[b], set1(q.unit[first + g]))), set1(bases[first + g]));
      const VF bounded = minOf(maxOf(level, set1(-0x1p20f)), set1(0x1p20f));
      most[g] = maxOf(bounded, most[g]);
      store(levels + g * kPageTokens + t + b * 16, bounded);
    }
  }
  alignas(64) int32_t nearest[16];
  for (int g = 0; g < heads; g++) {
    storeInt(nearest, toInt(set1(maxLanes(most[g]))));
    top[g] = nearest[0];
  }
}

template <int words> void scanPage(const ScanQueries& q, const float* rotated, int group, const KvPage& page, const uint8_t* next, float* masses, int32_t* tops) {
  constexpr int headDim = words * 32;
  const PartPlace keys = keyPlace(page.pieces, headDim);
  alignas(64) float levels[kMaxGroup * kPageTokens], sums[16];
  float bases[kMaxGroup];
  for (int g = 0; g < group; g++) {
    VF sum = zero();
    for (int i = 0; i < headDim; i += 16) sum = add(sum, mul(load(rotated + g * headDim + i), loadHalf(keys.mean + i)));
    bases[g] = kLog2e * sumLanes(sum);
  }
  int first = 0;
  for (; first + 8 <= group; first += 8) pageLevels<words, 8>(q, first, bases, keys, next, levels + first * kPageTokens, tops + first);
  for (; first + 4 <= group; first += 4) pageLevels<words, 4>(q, first, bases, keys, next, levels + first * kPageTokens, tops + first);
  for (; first < group; first++) pageLevels<words, 1>(q, first, bases, keys, next, levels + first * kPageTokens, tops + first);
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

void scan(const ScanQueries* q, const float* rotated, int group, int headDim, const KvPage* pages, int count, float* masses, int32_t* tops) {
  for (int p = 0; p < count; p++, masses += group * kPageBlocks, tops += group) {
    const uint8_t* next = pages[p + 1 < count ? p + 1 : p].pieces[0];
    if (headDim == 32) scanPage<1>(*q, rotated, group, pages[p], next, masses, tops);
    else if (headDim == 64) scanPage<2>(*q, rotated, group, pages[p], next, masses, tops);
    else scanPage<4>(*q, rotated, group, pages[p], next, masses, tops);
  }
}

}  // namespace
