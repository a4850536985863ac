// What one core computes at the most with the lanes of a vec_*.h, for comparing kernels with: products whose sums never
// leave their registers, and a factor the first cache. The including file says how many sums stay in registers:
// kBlockHeads * kBlockVectors.
#pragma once
#include <cstring>
#include "kernels.h"

namespace {

struct alignas(64) Factors {
  int32_t words[kBlockHeads * kBlockVectors][16];
};

// Sums that start as zero, so many rounds of `step`, which adds the products of a factor to one of them; all in one. Factors
// are read anew each time: what is computed of one that is known could be computed once for all.
template <class Sum, class Add, class Step> inline Sum repeat(Sum zero, int64_t rounds, const Factors& factors, Add add, Step step) {
  constexpr int n = kBlockHeads * kBlockVectors;
  Sum sums[n];
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) sums[j] = zero;
  for (int64_t i = 0; i < rounds; i++) {
    const Factors* some = &factors;
    asm("" : "+r"(some));
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) sums[j] = step(sums[j], some->words[j]);
  }
#pragma GCC unroll 16
  for (int j = 1; j < n; j++) sums[0] = add(sums[0], sums[j]);
  return sums[0];
}

// Products a round; `seed`, which the compiler does not know, is what they multiply.
int64_t peak(Peak what, int64_t rounds, uint8_t seed, float* sink) {
  constexpr int n = kBlockHeads * kBlockVectors;
  Factors factors;
  memset(&factors, seed, sizeof factors);
  if (what == Peak::floats) {
    const VF value = set1(static_cast<float>(seed));
    auto step = [&](VF sum, const int32_t* x) { return fma(load(reinterpret_cast<const float*>(x)), value, sum); };
    *sink = sumLanes(repeat(zero(), rounds, factors, add, step));
    return n * 16;
  }
  const VI word = loadInt(factors.words[0]);
  const VB bytes = loadBytes(factors.words[0]);
  auto bytesStep = [&](VI sum, const int32_t* x) { return dot(sum, loadBytes(x), bytes); };
  auto pairsStep = [&](VI sum, const int32_t* x) { return dotPairs(sum, loadInt(x), word); };
  const VI all = what == Peak::pairs ? repeat(zeroInt(), rounds, factors, addInt, pairsStep) : repeat(zeroInt(), rounds, factors, addInt, bytesStep);
  *sink = sumLanes(toFloat(all));
  return n * (what == Peak::pairs ? 32 : 64);
}

}  // namespace
