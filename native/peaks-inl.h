// What one core computes at the most with the lanes of a vec_*.h, for comparing kernels with: products whose sums never
// leave their registers. The including file says how many sums those are: kBlockHeads * kBlockVectors.
#pragma once
#include <cstring>
#include "kernels.h"

namespace {

// As many as the sums of the narrowest lanes, for which an operation is several: what these have in common would else be
// computed once.
constexpr int kFactors = 4;
struct alignas(64) Factors {
  int32_t words[kFactors][16];
};

// Sums that start apart, or two could be one; so many rounds of `step`, which adds the products of a factor to one of them;
// all in one. Factors are read anew each time: what is computed of one that is known could be computed once for all.
template <class Sum, class Add, class Step> inline Sum repeat(Sum first, int64_t rounds, const Factors& factors, Add add, Step step) {
  constexpr int n = kBlockHeads * kBlockVectors;
  Sum sums[n];
#pragma GCC unroll 16
  for (int j = 0; j < n; j++) sums[j] = j == 0 ? first : add(sums[j - 1], first);
  for (int64_t i = 0; i < rounds; i++) {
    const Factors* some = &factors;
    asm("" : "+r"(some));
#pragma GCC unroll 16
    for (int j = 0; j < n; j++) sums[j] = step(sums[j], some->words[j % kFactors]);
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
    *sink = sumLanes(repeat(set1(1.0f), rounds, factors, add, step));
    return n * 16;
  }
  const VI word = loadInt(factors.words[0]);
  const VB bytes = loadBytes(factors.words[0]);
  auto bytesStep = [&](VI sum, const int32_t* x) { return dot(sum, loadBytes(x), bytes); };
  auto pairsStep = [&](VI sum, const int32_t* x) { return dotPairs(sum, loadInt(x), word); };
  const VI all = what == Peak::pairs ? repeat(set1Int(1), rounds, factors, addInt, pairsStep) : repeat(set1Int(1), rounds, factors, addInt, bytesStep);
  *sink = sumLanes(toFloat(all));
  return n * (what == Peak::pairs ? 32 : 64);
}

}  // namespace
