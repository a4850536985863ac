// What one core computes at the most with the lanes of a vec_*.h, for comparing kernels with: products whose factors and
// sums never leave their registers. The including file says how many sums stay there: kBlockHeads * kBlockVectors.
#pragma once
#include <cstring>
#include "kernels.h"

namespace {

template <class Sum, class Step> inline void repeat(Sum* sums, int64_t rounds, Step step) {
  constexpr int n = kBlockHeads * kBlockVectors;
  for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) sums[j] = step(sums[j]);
}

// Products a round; `seed`, which the compiler does not know, is what they multiply.
int64_t peak(Peak what, int64_t rounds, uint8_t seed, float* sink) {
  constexpr int n = kBlockHeads * kBlockVectors;
  alignas(64) uint8_t same[64];
  memset(same, seed, sizeof same);
  const VI word = set1Int(seed * 0x01010101);
  const VB bytes = loadBytes(same);
  const VF value = set1(static_cast<float>(seed));
  VI whole[n];
  VF real[n];
  for (int j = 0; j < n; j++) whole[j] = set1Int(j), real[j] = set1(static_cast<float>(j));
  if (what == Peak::floats) repeat(real, rounds, [&](VF sum) { return fma(value, value, sum); });
  else if (what == Peak::pairs) repeat(whole, rounds, [&](VI sum) { return dotPairs(sum, word, word); });
  else repeat(whole, rounds, [&](VI sum) { return dot(sum, bytes, bytes); });
  VF all = zero();
  for (int j = 0; j < n; j++) all = add(all, add(real[j], toFloat(whole[j])));
  *sink = sumLanes(all);
  return n * (what == Peak::floats ? 16 : what == Peak::pairs ? 32 : 64);
}

}  // namespace
